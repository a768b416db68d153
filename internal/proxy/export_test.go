package proxy

// ReadMySQLResponse is exported for tests.
var ReadMySQLResponse = readMySQLResponse
