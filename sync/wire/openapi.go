package wire

import _ "embed"

// OpenAPI is the contract as an OpenAPI 3.1 document, for people, mocks and
// gateways. A test keeps it and the Go types the same.
//
//go:embed openapi.yaml
var OpenAPI []byte
