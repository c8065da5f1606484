/// The change that one adapter makes to one weight or bias of a model, computed when the weight is read.
struct AdapterChange: Sendable {
    /// File and module, for errors.
    let place: String
    /// The adapter's weight for this module.
    let strength: Float
    private let delta: any WeightDelta
    private let magnitudes: Magnitudes?

    init(
        place: String,
        strength: Float,
        _ delta: any WeightDelta,
        _ magnitudes: Magnitudes? = nil
    ) {
        (self.place, self.strength) = (place, strength)
        (self.delta, self.magnitudes) = (delta, magnitudes)
    }

    /// Applies the change to the weight.
    ///
    /// With DoRA, the strength mixes the merged weight with the model's own, as in ComfyUI and A1111: 0 changes
    /// nothing.
    ///
    /// - Parameters:
    ///   - weight: the weight, in Diffusers' order of axes
    ///   - target: its name, for errors
    /// - Throws: `InputError` if a tensor is not of a float type, or the result overflows
    func apply(to weight: inout Tensor, named target: String) throws(InputError) {
        guard strength != 0 else { return }
        if let magnitudes {
            let old = weight
            try delta.add(1, to: &weight)
            try magnitudes.apply(to: &weight)
            if strength != 1 {
                let strength = strength
                old.withFloats { old in
                    weight.withMutableFloats { weight in
                        for i in weight.indices {
                            weight[i] = old[i] + strength * (weight[i] - old[i])
                        }
                    }
                }
            }
        } else {
            try delta.add(strength, to: &weight)
        }
        guard weight.isFinite else {
            throw InputError(
                place,
                "with a weight of \(strength) it makes '\(target)' overflow",
                fix: "Use a smaller weight with --lora, or another file"
            )
        }
    }

    /// Whether the change is so small that the result is finite whatever the model's weight.
    ///
    /// - Throws: `InputError` if a tensor is not of a float type
    func isSafe() throws(InputError) -> Bool {
        var bound = try delta.bound()
        if let magnitudes { bound = max(bound, try magnitudes.bound()) }
        return bound * Double(max(1, abs(strength))) < 1e30
    }
}
