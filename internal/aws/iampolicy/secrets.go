package iampolicy

import (
	"cmp"
	"strings"
)

// secrets allows keeping managed passwords, in whichever region the databases are.
func (n Need) secrets() []Statement {
	prefix := strings.Trim(cmp.Or(n.SecretPrefix, DefaultSecretPrefix), "/")
	partition, account := cmp.Or(n.Partition, "*"), cmp.Or(n.Account, "*")
	list := []Statement{allow("", secretActions, arn(partition, "secretsmanager", "*", account, "secret:"+prefix+"/*"))}
	if n.KMSKey != "" {
		list = append(list, allow("", []string{"kms:Decrypt", "kms:GenerateDataKey"}, keyARN(partition, account, n.KMSKey)))
	}
	return list
}

func keyARN(partition, account, key string) string {
	if strings.HasPrefix(key, "arn:") {
		return key
	}
	return arn(partition, "kms", "*", account, "key/"+key)
}

func arn(partition, service, region, account, resource string) string {
	return strings.Join([]string{"arn", partition, service, region, account, resource}, ":")
}
