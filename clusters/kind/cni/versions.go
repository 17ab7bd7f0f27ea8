package cni

// cniVersion is the version of the CNI specification that plain's configuration follows. containerd 1.6 and later support it.
const cniVersion = "1.0.0"

// Versions of what CNI projects publish, and the SHA-256 of their files and images. flannel's are in the go.mod files of its programs.
const (
	calicoVersion  = "v3.28.5"
	calicoManifest = "206678e7adb2e931bb97385300c408490635616f371941d68468207d6e0f9713"

	ciliumVersion = "1.20.2"
	ciliumChart   = "b2afd87b7f75f875f92a14559f14f59b7babbb479d968e3fd625a20bf30ec20e"
)

// calicoImages have no digests in the manifest.
var calicoImages = map[string]string{
	"docker.io/calico/cni:" + calicoVersion: "", "docker.io/calico/node:" + calicoVersion: "", "docker.io/calico/kube-controllers:" + calicoVersion: "",
}

var ciliumImages = map[string]string{
	"quay.io/cilium/cilium:v1.20.2":           "sha256:2939231d0d3e3ebddcd80fffa168b7ddcc78fdf0dc864d1c8c126ff523c54f01",
	"quay.io/cilium/operator-generic:v1.20.2": "sha256:64d8798350e8569b8e7622563fed6e44dce2625f311e4651b774816516c744fc",
}
