//go:build tools

// Package tools pins the programs that scripts/setup builds where no release can be downloaded.
package tools

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
