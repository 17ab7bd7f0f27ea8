package cni

// none leaves nodes without a pod network: they do not become Ready, and pods that need a network stay Pending.
var none = Plugin{}
