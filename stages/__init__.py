"""One thin script per stage of dvc.yaml: read the parameters, call one segkit function, write the outputs."""
