package mongodb_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mongodb/mongotest"
)

// stages are stages of a pipeline that runs in the database orders, with the other databases that they name.
var stages = map[string]struct {
	stage any
	needs string
}{
	"$match with fields called like stages":    {d(e("$match", d(e("from", d(e("db", "a"))), e("$out", "x")))), ""},
	"$out to a collection":                     {d(e("$out", "c")), ""},
	"$out to another database":                 {d(e("$out", d(e("db", "other"), e("coll", "c")))), "other"},
	"$out to two databases":                    {d(e("$out", d(e("db", "orders"), e("db", "other"), e("coll", "c")))), "other"},
	"$merge into a collection":                 {d(e("$merge", "c")), ""},
	"$merge into a collection, long":           {d(e("$merge", d(e("into", "c"), e("on", "_id")))), ""},
	"$merge into another database":             {d(e("$merge", d(e("into", d(e("db", "other"), e("coll", "c"))), e("whenMatched", "replace")))), "other"},
	"$merge with a pipeline":                   {d(e("$merge", d(e("into", "c"), e("whenMatched", bson.A{d(e("$set", d()))})))), ""},
	"$lookup":                                  {d(e("$lookup", d(e("from", "c"), e("as", "x")))), ""},
	"$lookup from another database":            {d(e("$lookup", d(e("from", d(e("db", "other"), e("coll", "c"))), e("as", "x")))), "other"},
	"$lookup with a pipeline":                  {d(e("$lookup", d(e("from", "c"), e("pipeline", bson.A{d(e("$unionWith", d(e("db", "other"), e("coll", "c"))))})))), "other"},
	"$graphLookup from another database":       {d(e("$graphLookup", d(e("from", d(e("db", "other"), e("coll", "c")))))), "other"},
	"$unionWith":                               {d(e("$unionWith", "c")), ""},
	"$unionWith a pipeline":                    {d(e("$unionWith", d(e("coll", "c"), e("pipeline", bson.A{d(e("$lookup", d(e("from", d(e("db", "other"), e("coll", "c"))))))})))), "other"},
	"$facet":                                   {d(e("$facet", d(e("a", bson.A{d(e("$match", d()))}), e("b", bson.A{d(e("$merge", d(e("into", d(e("db", "other"), e("coll", "c"))))))})))), "other"},
	"two stages in one":                        {d(e("$match", d()), e("$out", d(e("db", "other"), e("coll", "c")))), "other"},
	"$changeStream":                            {d(e("$changeStream", d())), ""},
	"$changeStream of everything":              {d(e("$changeStream", d(e("allChangesForCluster", true)))), "never"},
	"$changeStream of everything, by a number": {d(e("$changeStream", d(e("allChangesForCluster", bson.NewDecimal128(0x3040000000000000, 1))))), "never"},
	"a stage that nobody knows":                {d(e("$teleport", d())), "never"},
	"a stage that is no document":              {"$out", "malformed"},
	"$out to a database with a dot":            {d(e("$out", d(e("db", "a.b"), e("coll", "c")))), "malformed"},
	"$out to a number":                         {d(e("$out", 7)), "malformed"},
	"$facet that is no document":               {d(e("$facet", 7)), "malformed"},
	"$lookup with stages in a document":        {d(e("$lookup", d(e("from", "c"), e("pipeline", d(e("0", d(e("$unionWith", d(e("db", "other"), e("coll", "c")))))))))), "malformed"},
	"$merge with a word":                       {d(e("$merge", d(e("into", "c"), e("whenMatched", "replace")))), ""},
	"$out to a bucket":                         {d(e("$out", d(e("s3", d(e("bucket", "b")))))), "never"},
	"$merge into another cluster":              {d(e("$merge", d(e("into", d(e("atlas", d(e("clusterName", "x"), e("db", "other"), e("coll", "c")))))))), "never"},
	"$out to a time series":                    {d(e("$out", d(e("db", "orders"), e("coll", "c"), e("timeseries", d(e("timeField", "t")))))), ""},
	"$currentOp":                               {d(e("$currentOp", d())), "admin"},
	"$listLocalSessions":                       {d(e("$listLocalSessions", d(e("allUsers", true)))), "admin"},
	"$listSessions":                            {d(e("$listSessions", d(e("allUsers", true)))), "admin"},
	"$listSampledQueries":                      {d(e("$listSampledQueries", d())), "admin"},
	"$querySettings":                           {d(e("$querySettings", d())), "admin"},
	"$queryStats":                              {d(e("$queryStats", d())), "admin"},
	"$shardedDataDistribution":                 {d(e("$shardedDataDistribution", d())), "admin"},
	"$lookup with no list of stages":           {d(e("$lookup", d(e("from", "c"), e("pipeline", bson.A{7})))), "malformed"},
}

// commands are commands, with the databases that they name. Any further one is not needed; "never" and "malformed" are
// refused whatever the rules say.
var commands = map[string]struct {
	command bson.D
	needs   string
}{
	"find":                                     {in("orders", e("find", "c")), "orders"},
	"find with a filter on names":              {in("orders", e("find", "c"), e("filter", d(e("$db", "other"), e("from", "other")))), "orders"},
	"insert of a document with names":          {in("orders", e("insert", "c"), e("documents", bson.A{d(e("pipeline", bson.A{d(e("$out", d(e("db", "other"))))}))})), "orders"},
	"in another database":                      {in("other", e("find", "c")), "other"},
	"in a database with a name of other case":  {in("Orders", e("find", "c")), "Orders"},
	"getMore":                                  {in("orders", e("getMore", int64(1)), e("collection", "c")), "orders"},
	"find by a UUID":                           {in("orders", e("find", uuidOfAnother)), "malformed"},
	"count by a UUID":                          {in("orders", e("count", uuidOfAnother)), "malformed"},
	"aggregate by a UUID":                      {in("orders", e("aggregate", uuidOfAnother), e("pipeline", bson.A{})), "malformed"},
	"explain by a UUID":                        {in("orders", e("explain", d(e("find", uuidOfAnother)))), "malformed"},
	"getMore by a UUID":                        {in("orders", e("getMore", int64(1)), e("collection", uuidOfAnother)), "malformed"},
	"getMore of a bulkWrite":                   {in("admin", e("getMore", int64(1)), e("collection", "$cmd.bulkWrite")), ""},
	"killCursors":                              {in("other", e("killCursors", "c"), e("cursors", bson.A{int64(1)})), "other"},
	"ping":                                     {in("admin", e("ping", 1)), ""},
	"buildInfo":                                {in("admin", e("buildInfo", 1)), ""},
	"endSessions":                              {in("admin", e("endSessions", bson.A{})), ""},
	"commitTransaction":                        {in("admin", e("commitTransaction", 1)), ""},
	"abortTransaction":                         {in("admin", e("abortTransaction", 1)), ""},
	"connectionStatus":                         {in("admin", e("connectionStatus", 1)), ""},
	"listDatabases":                            {in("admin", e("listDatabases", 1)), "admin"},
	"currentOp":                                {in("admin", e("currentOp", 1)), "admin"},
	"killOp":                                   {in("admin", e("killOp", 1), e("op", 7)), "admin"},
	"serverStatus elsewhere":                   {in("orders", e("serverStatus", 1)), "orders admin"},
	"shutdown":                                 {in("admin", e("shutdown", 1)), "admin"},
	"renameCollection":                         {in("admin", e("renameCollection", "orders.a"), e("to", "orders.b")), "orders"},
	"renameCollection to another":              {in("admin", e("renameCollection", "orders.a"), e("to", "other.b")), "orders other"},
	"renameCollection from another":            {in("admin", e("renameCollection", "other.a.b"), e("to", "orders.b")), "orders other"},
	"renameCollection to nowhere":              {in("admin", e("renameCollection", "orders.a")), "malformed"},
	"renameCollection of nothing":              {in("admin", e("renameCollection", "orders"), e("to", "orders.b")), "malformed"},
	"mapReduce":                                {in("orders", e("mapReduce", "c"), e("out", "x")), "orders"},
	"mapReduce inline":                         {in("orders", e("mapReduce", "c"), e("out", d(e("inline", 1)))), "orders"},
	"mapReduce to another":                     {in("orders", e("mapReduce", "c"), e("out", d(e("replace", "x"), e("db", "other")))), "orders other"},
	"explain":                                  {in("orders", e("explain", d(e("find", "c")))), "orders"},
	"explain with a database":                  {in("orders", e("explain", d(e("find", "c"), e("$db", "other")))), "orders other"},
	"explain with two databases":               {in("orders", e("explain", d(e("find", "c"), e("$db", "orders"), e("$db", "other")))), "orders other"},
	"explain of a pipeline":                    {in("orders", e("explain", d(e("aggregate", "c"), e("pipeline", bson.A{}), e("pipeline", bson.A{d(e("$out", d(e("db", "other"), e("coll", "c"))))})))), "orders other"},
	"explain of an explain":                    {in("orders", e("explain", d(e("explain", d(e("find", "c")))))), "never"},
	"explain of a login":                       {in("orders", e("explain", d(e("saslStart", 1)))), "never"},
	"explain for another tenant":               {in("orders", e("explain", d(e("find", "c"), e("$tenant", "x")))), "never"},
	"explain of nothing":                       {in("orders", e("explain", 1)), "malformed"},
	"a view":                                   {in("orders", e("create", "v"), e("viewOn", "c"), e("pipeline", bson.A{d(e("$lookup", d(e("from", d(e("db", "other"), e("coll", "c"))))))})), "orders other"},
	"collMod of a view":                        {in("orders", e("collMod", "v"), e("pipeline", bson.A{d(e("$unionWith", d(e("db", "other"), e("coll", "c"))))})), "orders other"},
	"bulkWrite":                                {in("admin", e("bulkWrite", 1), e("ops", bson.A{}), e("nsInfo", bson.A{d(e("ns", "orders.a")), d(e("ns", "other.b"))})), "orders other"},
	"bulkWrite of nothing":                     {in("admin", e("bulkWrite", 1), e("ops", bson.A{})), "malformed"},
	"bulkWrite to 65 databases":                {in("admin", e("bulkWrite", 1), e("ops", bson.A{}), e("nsInfo", manyNamespaces(65))), "malformed"},
	"createUser":                               {in("orders", e("createUser", "u"), e("roles", bson.A{"read", d(e("role", "readWrite"), e("db", "other"))})), "orders other"},
	"createRole":                               {in("orders", e("createRole", "r"), e("privileges", bson.A{d(e("resource", d(e("db", "other"), e("collection", ""))))})), "orders other"},
	"createRole for all databases":             {in("orders", e("createRole", "r"), e("privileges", bson.A{d(e("resource", d(e("db", ""), e("collection", ""))))})), "orders admin"},
	"createRole for the cluster":               {in("orders", e("createRole", "r"), e("privileges", bson.A{d(e("resource", d(e("cluster", true))))})), "orders admin"},
	"createRole for buckets of all databases":  {in("orders", e("createRole", "r"), e("privileges", bson.A{d(e("resource", d(e("system_buckets", "c"))))})), "orders admin"},
	"createRole for buckets of one database":   {in("orders", e("createRole", "r"), e("privileges", bson.A{d(e("resource", d(e("db", "orders"), e("system_buckets", "c"))))})), "orders"},
	"grantPrivilegesToRole without a database": {in("orders", e("grantPrivilegesToRole", "r"), e("privileges", bson.A{d(e("resource", d(e("collection", "c"))))})), "orders admin"},
	"createUser with data of its own":          {in("orders", e("createUser", "u"), e("customData", d(e("db", 7), e("resource", d()))), e("roles", bson.A{"read"})), "orders"},
	"createUser with a list that is numbered oddly": {in("orders", e("createUser", "u"), e("roles", array{d(e("customData", d(e("role", "read"), e("db", "other"))))})), "orders other"},
	"profile":                     {in("orders", e("profile", 1)), "orders"},
	"profile, slow from when on":  {in("orders", e("profile", 0), e("slowms", 1)), "orders admin"},
	"a view written by hand":      {in("orders", e("insert", "system.views"), e("documents", bson.A{})), "never"},
	"a view among many writes":    {in("admin", e("bulkWrite", 1), e("ops", bson.A{}), e("nsInfo", bson.A{d(e("ns", "orders.system.views"))})), "never"},
	"views that are read":         {in("orders", e("find", "system.views")), "orders"},
	"usersInfo of all databases":  {in("orders", e("usersInfo", d(e("forAllDBs", true)))), "orders admin"},
	"shardCollection":             {in("admin", e("shardCollection", "orders.c"), e("key", d())), "admin orders"},
	"enableSharding":              {in("admin", e("enableSharding", "orders")), "admin orders"},
	"a command that nobody knows": {in("orders", e("teleport", 1)), "never"},
	"applyOps":                    {in("admin", e("applyOps", bson.A{})), "never"},
	"an empty name":               {in("orders", e("", 1)), "malformed"},
	"saslStart":                   {in("$external", e("saslStart", 1), e("mechanism", "PLAIN"), e("payload", []byte("secret"))), "never"},
	"saslContinue":                {in("$external", e("saslContinue", 1), e("payload", []byte("secret"))), "never"},
	"authenticate":                {in("$external", e("authenticate", 1), e("mechanism", "MONGODB-X509"), e("user", "CN=root")), "never"},
	"logout":                      {in("admin", e("logout", 1)), "never"},
	"getnonce":                    {in("admin", e("getnonce", 1)), "never"},
	"no database":                 {d(e("find", "c")), "malformed"},
	"a database that is a number": {d(e("find", "c"), e("$db", 7)), "malformed"},
	"a database with a dot":       {in("orders.x", e("find", "c")), "malformed"},
	"a database with a zero":      {in("orders\x00other", e("find", "c")), "malformed"},
	"an empty database":           {in("", e("find", "c")), "malformed"},
	"ping in an empty database":   {in("", e("ping", 1)), "malformed"},
	"two databases":               {d(e("find", "c"), e("$db", "orders"), e("$db", "other")), "malformed"},
	"a field twice":               {in("orders", e("find", "c"), e("limit", 1), e("limit", 2)), "malformed"},
	"another user's rights":       {in("orders", e("find", "c"), e("$impersonatedUsers", bson.A{})), "never"},
	"another tenant":              {in("orders", e("find", "c"), e("$tenant", "x")), "never"},
}

// uuidOfAnother is what stands in place of a collection's name.
var uuidOfAnother = bson.Binary{Subtype: bson.TypeBinaryUUID, Data: []byte("0123456789abcdef")}

// array is a list whose places are called as its document says, and not 0, 1 and so on.
type array struct{ bson.D }

// MarshalBSONValue implements bson.ValueMarshaler.
func (a array) MarshalBSONValue() (byte, []byte, error) {
	data, err := bson.Marshal(a.D)
	return byte(bson.TypeArray), data, err
}

func manyNamespaces(n int) bson.A {
	var all bson.A
	for i := range n {
		all = append(all, d(e("ns", fmt.Sprintf("db%d.c", i))))
	}
	return all
}

// TestDatabasesThatCommandsName has for each command rules that allow just the databases that it needs, and for each of
// those rules that allow all others.
func TestDatabasesThatCommandsName(t *testing.T) {
	t.Parallel()
	for name, c := range stages {
		needs := strings.TrimSpace("orders " + c.needs)
		if c.needs == "never" || c.needs == "malformed" {
			needs = c.needs
		}
		commands["aggregate with "+name] = struct {
			command bson.D
			needs   string
		}{in("orders", e("aggregate", "c"), e("pipeline", bson.A{d(e("$match", d())), c.stage}), e("cursor", d())), needs}
	}
	server := mongotest.Start(t, mongotest.Options{})
	clients := make(map[string]*rawClient)
	client := func(spec string) *rawClient {
		if clients[spec] == nil {
			agent := before(t, server, func(cfg *enginetest.Config) { cfg.Roles = []string{spec} })
			agent.Expect("app", "") // which database, each command says
			clients[spec] = logIn(t, agent)
		}
		return clients[spec]
	}
	allow := func(databases ...string) string {
		return fmt.Sprintf(`{allow: {db_labels: {'*': '*'}, db_users: [app], db_names: [%s]}}`, strings.Join(append(databases, "nothing"), ","))
	}
	for name, c := range commands {
		needs := strings.Fields(c.needs)
		if c.needs == "never" || c.needs == "malformed" {
			wantRefused(t, name, server, client(allow("'*'")), c.command)
			continue
		}
		for i := range needs {
			others := slices.Delete(slices.Clone(needs), i, i+1)
			wantRefused(t, name+" without "+needs[i], server, client(allow(append(others, "elsewhere")...)), c.command)
		}
		seen := len(server.Seen())
		if _, err := client(allow(needs...)).run(patience(t), c.command); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if all := server.Seen(); len(all) != seen+1 || string(all[seen].Body) != string(marshal(t, c.command)) {
			t.Errorf("%s: the server has seen %d messages, or not this one", name, len(all)-seen)
		}
	}
}

// TestWhatConcernsTheServerIsRefusedInWordsThatSaySo because a user who has named the right database would look for a wrong name in
// the general ones.
func TestWhatConcernsTheServerIsRefusedInWordsThatSaySo(t *testing.T) {
	t.Parallel()
	server := mongotest.Start(t, mongotest.Options{})
	allowed := func(names string) *enginetest.Agent {
		agent := before(t, server, func(cfg *enginetest.Config) {
			cfg.Roles = []string{"{allow: {db_labels: {'*': '*'}, db_users: [app], db_names: [" + names + "]}}"}
		})
		agent.Expect("app", "")
		return agent
	}
	agent := allowed("orders")
	c := logIn(t, agent)
	const general = "access to db denied. User does not have permissions. Confirm database user and name."
	serverWide := func(what string) string {
		return what + ` concerns the whole server and needs the database name "admin", which your roles do not allow; ask an administrator for db_names: [admin]`
	}
	cases := map[string]struct {
		command bson.D
		says    string
	}{
		"a command":                       {in("admin", e("listDatabases", 1)), serverWide("listDatabases")},
		"a command, sent to another":      {in("orders", e("serverStatus", 1)), serverWide("serverStatus")},
		"a command, explained":            {in("orders", e("explain", d(e("currentOp", 1)))), serverWide("currentOp")},
		"a stage":                         {in("orders", e("aggregate", 1), e("pipeline", bson.A{d(e("$currentOp", d()))}), e("cursor", d())), serverWide("$currentOp")},
		"a setting of all":                {in("orders", e("profile", 0), e("slowms", 1)), serverWide("profile")},
		"rights in all databases":         {in("orders", e("createRole", "r"), e("privileges", bson.A{d(e("resource", d(e("db", ""), e("collection", ""))))})), serverWide("createRole")},
		"documents in admin":              {in("admin", e("find", "c")), general},
		"documents in another":            {in("other", e("find", "c")), general},
		"documents in another, explained": {in("orders", e("explain", d(e("find", "c"), e("$db", "other")))), general},
	}
	for name, one := range cases {
		_, err := c.run(patience(t), one.command)
		if refused, ok := errors.AsType[*refusal](err); !ok || refused.code != 13 || !strings.Contains(err.Error(), one.says) {
			t.Errorf("%s: %v, want %s", name, err, one.says)
		}
	}
	recorded := agent.Visit(t, 0).Journal.Events("db.session.query.failed")
	if len(recorded) != len(cases) {
		t.Errorf("%d are recorded", len(recorded))
	}
	for _, failed := range recorded {
		if reason := failed.Text("error"); !strings.Contains(reason, "allows the database name") {
			t.Errorf("recorded: %s", reason)
		}
	}
	_, err := logIn(t, allowed("orders, admin")).run(patience(t), in("other", e("serverStatus", 1)))
	if err == nil || !strings.Contains(err.Error(), general) {
		t.Errorf("who has a grant on admin reads %v", err)
	}
}

func wantRefused(t *testing.T, name string, server *mongotest.Server, c *rawClient, command bson.D) {
	t.Helper()
	seen := len(server.Seen())
	_, err := c.run(patience(t), command)
	if refused, ok := errors.AsType[*refusal](err); !ok || refused.code != 13 && refused.code != 2 && refused.code != 59 && refused.code != 17 {
		t.Errorf("%s: %v", name, err)
	}
	if all := server.Seen(); len(all) != seen {
		t.Errorf("%s: the server has seen %s", name, all[seen].JSON())
	}
}

// TestSecretsOfRefusedLogins has logins where none can be: what would prove an identity is not recorded.
func TestSecretsOfRefusedLogins(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, mongotest.Options{})
	c := logIn(t, agent)
	login := d(e("saslStart", 1), e("mechanism", "PLAIN"), e("payload", "hunter2"))
	for name, command := range map[string]bson.D{
		"a login":           in("$external", login...),
		"within an explain": in("orders", e("explain", login)),
	} {
		if _, err := c.run(patience(t), command); err == nil {
			t.Errorf("%s is passed on", name)
		}
	}
	failed := recorded(agent, "db.session.query.failed")
	if len(failed) != 2 {
		t.Errorf("%d events", len(failed))
	}
	for _, event := range failed {
		if text := event.Text("db_query"); strings.Contains(text, "hunter2") {
			t.Errorf("recorded %s", text)
		}
	}
}

// TestSequences has names in document sequences, where they count as much as in the body.
func TestSequences(t *testing.T) {
	t.Parallel()
	agent, server := small(t, mongotest.Options{}, func(c *enginetest.Config) {
		c.Roles = []string{ordersOnly}
	})
	c := logIn(t, agent)
	for name, test := range map[string]struct {
		message []byte
		passed  bool
	}{
		"documents to insert":           {message(t, 50, 0, in("orders", e("insert", "c")), sequence(t, "documents", d(e("a", 1)), d(e("a", 2)))), true},
		"a pipeline":                    {message(t, 51, 0, in("orders", e("aggregate", "c"), e("cursor", d())), sequence(t, "pipeline", d(e("$out", d(e("db", "other"), e("coll", "c")))))), false},
		"a database":                    {message(t, 52, 0, d(e("insert", "c")), sequence(t, "$db", d(e("a", 1)))), false},
		"collections of a bulkWrite":    {message(t, 53, 0, in("admin", e("bulkWrite", 1)), sequence(t, "ops", d()), sequence(t, "nsInfo", d(e("ns", "orders.a")))), true},
		"others of a bulkWrite":         {message(t, 54, 0, in("admin", e("bulkWrite", 1)), sequence(t, "ops", d()), sequence(t, "nsInfo", d(e("ns", "orders.a")), d(e("ns", "other.a")))), false},
		"others, with some in the body": {message(t, 55, 0, in("admin", e("bulkWrite", 1), e("nsInfo", bson.A{d(e("ns", "orders.a"))})), sequence(t, "nsInfo", d(e("ns", "other.a")))), false},
		"a field of the body again":     {message(t, 56, 0, in("orders", e("insert", "c"), e("documents", bson.A{})), sequence(t, "documents", d())), false},
	} {
		seen := len(server.Seen())
		_, err := c.exchange(patience(t), test.message)
		if (err == nil) != test.passed || len(server.Seen()) != seen+map[bool]int{true: 1}[test.passed] {
			t.Errorf("%s: %v, and the server saw %d messages", name, err, len(server.Seen())-seen)
		}
		if _, ok := errors.AsType[*refusal](err); err != nil && !ok {
			t.Fatalf("%s: %v", name, err)
		}
	}
	queries := recorded(agent, "db.session.query")
	if len(queries) != 2 || !slices.ContainsFunc(queries, func(q enginetest.Event) bool {
		return q.Text("db_query") == `{"insert":"c","$db":"orders","documents":[{"a":1},{"a":2}]}`
	}) {
		t.Errorf("recorded %v", queries)
	}
}

// TestLoginsAreNotRecordedWithTheirSecrets has a client send a password where there is nobody to want it.
func TestLoginsAreNotRecordedWithTheirSecrets(t *testing.T) {
	t.Parallel()
	agent, server := small(t, mongotest.Options{})
	c := logIn(t, agent)
	for _, name := range []string{"saslStart", "saslContinue", "authenticate", "logout", "getnonce", "copydbsaslstart"} {
		wantRefused(t, name, server, c, in("admin", e(name, 1), e("mechanism", "PLAIN"), e("payload", "battery staple"), e("key", "battery staple"), e("battery staple", 1)))
	}
	failed := recorded(agent, "db.session.query.failed")
	for _, event := range failed {
		text := event.Text("db_query")
		if strings.Contains(text, `":"battery`) || !strings.Contains(text, `"payload":"***"`) || !strings.Contains(text, `"mechanism":"PLAIN"`) {
			t.Errorf("recorded %s", text)
		}
	}
	if len(failed) != 6 {
		t.Errorf("%d refusals are recorded", len(failed))
	}
	if err := c.conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := agent.Visit(t, 0).Wait(t); err != nil {
		t.Error(err)
	}
}
