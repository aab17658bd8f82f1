//go:build tools

package samples

import _ "github.com/zricethezav/gitleaks/v8/cmd/generate/config"
