package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secret "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
)

// rootName is the name by which Istio's Envoys ask for the authority; by any other they ask for a certificate of their own.
const rootName = "ROOTCA"

// authority signs certificates for the workloads of a mesh, and hands them to their Envoys in place of Istio's agents.
type authority struct {
	secret.UnimplementedSecretDiscoveryServiceServer
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	root        []byte
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "mesh"},
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &authority{certificate: certificate, key: key, root: inPEM("CERTIFICATE", der)}, err
}

// sign makes a certificate and its key for a service account.
func (a *authority) sign(namespace, account string) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		NotAfter:     a.certificate.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:         []*url.URL{{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/" + namespace + "/sa/" + account}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &private.PublicKey, a.key)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	return inPEM("CERTIFICATE", der), inPEM("PRIVATE KEY", pkcs8), err
}

// write leaves certificate, key and authority of a service account in a folder, for clients that are no Envoys.
func (a *authority) write(folder, account string) error {
	namespace, name, _ := strings.Cut(account, "/")
	certificate, key, err := a.sign(namespace, name)
	if err != nil {
		return err
	}
	for file, content := range map[string][]byte{"cert.pem": certificate, "key.pem": key, "ca.pem": a.root} {
		if err := os.WriteFile(filepath.Join(folder, file), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (a *authority) serve(listen string) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	secret.RegisterSecretDiscoveryServiceServer(server, a)
	go func() { _ = server.Serve(listener) }()
	return nil
}

// StreamSecrets answers the first request of an Envoy, and not those that acknowledge.
func (a *authority) StreamSecrets(stream secret.SecretDiscoveryService_StreamSecretsServer) error {
	for {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		if request.GetResponseNonce() != "" {
			continue
		}
		response := &discovery.DiscoveryResponse{VersionInfo: "1", Nonce: "1", TypeUrl: request.GetTypeUrl()}
		for _, name := range request.GetResourceNames() {
			secret, err := a.secretFor(name, request.GetNode())
			if err != nil {
				return err
			}
			resource, err := anypb.New(secret)
			if err != nil {
				return err
			}
			response.Resources = append(response.Resources, resource)
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

func (a *authority) secretFor(name string, node *core.Node) (*tls.Secret, error) {
	if name == rootName {
		trusted := &tls.CertificateValidationContext{TrustedCa: inline(a.root)}
		return &tls.Secret{Name: name, Type: &tls.Secret_ValidationContext{ValidationContext: trusted}}, nil
	}
	metadata := node.GetMetadata().GetFields()
	certificate, key, err := a.sign(metadata["NAMESPACE"].GetStringValue(), metadata["SERVICE_ACCOUNT"].GetStringValue())
	own := &tls.TlsCertificate{CertificateChain: inline(certificate), PrivateKey: inline(key)}
	return &tls.Secret{Name: name, Type: &tls.Secret_TlsCertificate{TlsCertificate: own}}, err
}

func inline(bytes []byte) *core.DataSource {
	return &core.DataSource{Specifier: &core.DataSource_InlineBytes{InlineBytes: bytes}}
}

func inPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
