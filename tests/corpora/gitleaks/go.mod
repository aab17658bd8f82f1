// What `python -m tests.corpora` runs gitleaks' own generator of samples with.
module samples

go 1.25

require github.com/zricethezav/gitleaks/v8 v8.30.1
