package runstate

// What the tests need of the inside; they are a package of their own because the fingerprint that they compare by imports this one.
var (
	ReadOwner  = readOwner
	WriteOwner = writeOwner
)
