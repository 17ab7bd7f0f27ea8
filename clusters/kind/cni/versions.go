package cni

// All images and versions. kind's own CNI has the version in kind's node images.

// cniVersion is the version of the CNI specification that plain's configuration follows. containerd 1.6 and later support it.
const cniVersion = "1.0.0"
