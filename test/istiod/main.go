// Command istiod serves by xDS what Istio's control plane would for the objects in the files that it is given: with its
// code, and without Kubernetes. Certificates, which Envoys get from Istio's agents beside them, they get from it too.
//
// What the admission webhook would say of an object is written to stdout, and keeps nothing from being served, since a
// cluster may run without the webhook, or with another version of it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/resource"
	"istio.io/istio/pkg/test"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:15010", "`host:port` to serve xDS at, without TLS")
	certificates := flag.String("certificates", "127.0.0.1:15012", "`host:port` to serve certificates at, by SDS without TLS")
	folder := flag.String("folder", "", "write the certificate of --account there")
	account := flag.String("account", "", "`namespace/name` of a service account")
	flag.Parse()
	fmt.Fprintln(os.Stderr, "istiod:", run(*listen, *certificates, *folder, *account, flag.Args()))
	os.Exit(1)
}

// run returns only when it cannot.
func run(listen, certificates, folder, account string, files []string) error {
	objects, err := readAll(files)
	if err != nil {
		return err
	}
	authority, err := newAuthority()
	if err != nil {
		return err
	}
	if folder != "" {
		if err := authority.write(folder, account); err != nil {
			return err
		}
	}
	if err := authority.serve(certificates); err != nil {
		return err
	}
	return serve(listen, objects)
}

func serve(listen string, objects []config.Config) error {
	return test.Wrap(func(t test.Failer) {
		// Filters that only Istio's build of Envoy has.
		features.MetadataExchange = false
		features.ALPNFilter = false
		settings := mesh.DefaultMeshConfig()
		// The default provider's metrics are such a filter too.
		settings.DefaultProviders = &meshconfig.MeshConfig_DefaultProviders{}
		xds.NewFakeDiscoveryServer(t, xds.FakeOptions{
			Configs:         objects,
			MeshConfig:      settings,
			ListenerBuilder: func() (net.Listener, error) { return net.Listen("tcp", listen) },
		})
		fmt.Println("serving")
		select {}
	})
}

func readAll(files []string) ([]config.Config, error) {
	var all []config.Config
	for _, file := range files {
		objects, err := read(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, objects...)
	}
	return all, nil
}

// read takes the objects of one file as Istio's own reader does, but for those that are not right.
func read(file string) ([]config.Config, error) {
	open, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer open.Close()
	documents := yaml.NewYAMLOrJSONDecoder(open, 4096)
	var objects []config.Config
	for {
		document := crd.IstioKind{}
		if err := documents.Decode(&document); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		gvk := document.GroupVersionKind()
		schema, known := collections.Pilot.FindByGroupVersionAliasesKind(resource.FromKubernetesGVK(&gvk))
		if !known {
			return nil, fmt.Errorf("%s is no kind of Istio's", gvk)
		}
		object, err := crd.ConvertObject(schema, &document, "cluster.local")
		if err != nil {
			return nil, err
		}
		if warning, err := schema.ValidateConfig(*object); err != nil {
			fmt.Printf("refused: %s %s: %v\n", gvk.Kind, object.Name, err)
		} else if warning != nil {
			fmt.Printf("warned: %s %s: %v\n", gvk.Kind, object.Name, warning)
		}
		objects = append(objects, *object)
	}
}
