//! What `proto/hello.proto` becomes.
tonic::include_proto!("hello");
