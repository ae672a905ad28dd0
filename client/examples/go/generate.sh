#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Generates lm/v1/*.pb.go from the API: sh generate.sh PROTO, the folder proto/ of
# lmserve. Requires Go and protoc. M sets the import path of the package; without
# it, that is the one that the API proposes, lmserve/lm/v1.
set -eu
go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.5
go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1
bin=$(go env GOBIN)
PATH=${bin:-$(go env GOPATH)/bin}:$PATH
options=module=example
for file in language_model reranker; do
  options="$options,Mlm/v1/$file.proto=example/lm/v1;lmv1"
done
protoc -I "$1" --go_out="$options:." --go-grpc_out="$options:." \
  lm/v1/language_model.proto lm/v1/reranker.proto
