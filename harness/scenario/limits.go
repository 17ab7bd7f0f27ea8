package scenario

import "time"

// Limits of scenario files.
const (
	// MaxName is how long a name may be: it is a part of the names of files, and of objects of the kernel.
	MaxName = 63
	// MaxItems is how many items a list may have.
	MaxItems = 100
	// MaxDuration is the longest duration, and how long the attempts of a probe in one phase may take to start.
	MaxDuration = 10 * time.Minute
	// MaxReplicas is how many pods a Deployment may have.
	MaxReplicas = 100
)
