package website

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// maxName is how long the readable part of a file's name may be.
const maxName = 80

// fileName makes a name from text that may be anything: lower case letters, digits, dashes and single dots, so that it is a file in
// its folder on every system. Text that has to be changed for that gets a digest, so that no two texts have one name.
func fileName(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == '.' && b.Len() > 0 && !strings.HasSuffix(b.String(), "."):
			b.WriteRune(r)
		case !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= maxName {
			break
		}
	}
	name := strings.Trim(b.String(), "-.")
	if name == text && name != "" && name != "index" {
		return name
	}
	return strings.TrimPrefix(fmt.Sprintf("%s-%.8x", name, sha256.Sum256([]byte(text))), "-")
}

// Pages of the site, as paths from its first page.
const (
	indexFile    = "index.html"
	selectedFile = "comparisons/selected/index.html" // no environment's page is in a folder
)

func scenarioFile(scenario string) string { return "scenarios/" + fileName(scenario) + ".html" }

func auditFile(scenario, env string) string {
	return "audits/" + fileName(scenario) + "/" + fileName(env) + ".html"
}

func comparisonFile(env string) string { return "comparisons/" + fileName(env) + ".html" }
