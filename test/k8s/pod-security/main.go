// Pod-security judges the workloads of manifests, read from stdin, by Kubernetes's own rules for the level "restricted" of
// the Pod Security Standards. It writes a line of JSON for each: its name, and what the level forbids of it.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

type verdict struct {
	Name      string   `json:"name"`
	Forbidden []string `json:"forbidden"`
}

func main() {
	if err := judge(os.Stdin, json.NewEncoder(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func judge(manifests io.Reader, out *json.Encoder) error {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	decoder := yaml.NewYAMLOrJSONDecoder(manifests, 4096)
	for {
		// What has a template of pods has it in spec.template; of what has none the template is empty.
		var workload appsv1.Deployment
		if err := decoder.Decode(&workload); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		template := workload.Spec.Template
		if len(template.Spec.Containers) == 0 {
			continue
		}
		found := verdict{Name: workload.Kind + "/" + workload.Name, Forbidden: []string{}}
		for _, result := range evaluator.EvaluatePod(restricted, &template.ObjectMeta, &template.Spec) {
			if !result.Allowed {
				found.Forbidden = append(found.Forbidden, result.ForbiddenReason+": "+result.ForbiddenDetail)
			}
		}
		if err := out.Encode(found); err != nil {
			return err
		}
	}
}
