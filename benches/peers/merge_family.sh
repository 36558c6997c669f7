# Sourced from the repository's root after `$release`, the folder of the built programs: makes the family of random bf16 weights of a shape, as for
# make_model, unless it is there. `make_family SHAPE` sets `$family`, its folder below $FAMILY (target/merge-family).
make_family() {
    family="${FAMILY:-target/merge-family}/$1"
    local variant=0 model
    for model in base math code; do
        [ -f "$family/$model/config.json" ] || "$release/make_model" "$1" "$family/$model" "$variant"
        variant=$((variant + 1))
    done
}
