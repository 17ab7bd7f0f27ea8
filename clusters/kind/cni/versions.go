package cni

// Images and versions, all of them. kind's own CNI has the version that comes with kind's node images.

// cniVersion is that of the specification which plain's configuration follows; containerd 1.6 and later know it.
const cniVersion = "1.0.0"
