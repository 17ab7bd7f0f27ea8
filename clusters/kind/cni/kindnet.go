package cni

// kindnet is kind's own plugin. kind installs it from kind's own node images, which contain the manifest and the program. The project's
// node image does not: kindnetd is not available as a Go module.
var kindnet = Plugin{ByKind: true, Policies: true, Routes: true, Manifest: "/kind/manifests/default-cni.yaml", Text: "kind: DaemonSet"}
