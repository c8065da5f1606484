/// A difference that is stored in full: of a weight, a bias or a normalisation layer, or the bias of a LoRA.
struct DifferenceChange: WeightDelta {
    private let parts: AdapterParts
    private let role: AdapterRole
    private let scale: Float

    /// - Parameters:
    ///   - parts: the module's tensors
    ///   - role: the difference
    ///   - target: shape of the weight or the bias
    ///   - scale: its factor
    /// - Throws: `InputError` if it does not fit
    init(
        _ parts: AdapterParts,
        _ role: AdapterRole,
        _ target: [Int],
        scale: Float = 1
    ) throws(InputError) {
        let isVector = target.count == 1 && parts.count(role) == target[0]
        guard parts.fits(role, target) || isVector else { throw parts.misfit(role, target) }
        (self.parts, self.role, self.scale) = (parts, role, scale)
    }

    func add(_ factor: Float, to weight: inout Tensor) throws(InputError) {
        let difference = try parts.tensor(role)
        let scale = factor * scale
        weight.withMutableFloats { weight in
            difference.withFloats { difference in
                for i in weight.indices { weight[i] += scale * difference[i] }
            }
        }
    }

    func bound() throws(InputError) -> Double {
        Double(abs(scale)) * (try parts.bound(role))
    }
}

/// IA3: a factor for each input or each output of a layer.
struct ScalingChange: WeightDelta {
    private let parts: AdapterParts
    private let role: AdapterRole
    /// Number of consecutive elements of the weight that share a factor, and number of factors.
    private let run: Int
    private let count: Int

    /// Which axis of the weight is scaled.
    enum Axis { case inputs, outputs }

    /// - Parameters:
    ///   - parts: `scaling`, factors minus 1, or `factors`
    ///   - axis: what is scaled
    ///   - target: shape of the weight, or of the bias
    /// - Throws: `InputError` if they do not fit
    init(_ parts: AdapterParts, _ axis: Axis, _ target: [Int]) throws(InputError) {
        let role: AdapterRole = parts.has(.factors) ? .factors : .scaling
        let at = axis == .inputs ? 1 : 0
        guard target.count > at, parts.count(role) == target[at] else {
            throw parts.misfit(role, target)
        }
        (self.parts, self.role, count) = (parts, role, target[at])
        run = target.dropFirst(at + 1).reduce(1, *)
    }

    /// The axis that PEFT's factors for a module scale.
    ///
    /// - Throws: `InputError` if it does not follow from the shapes
    static func axis(_ parts: AdapterParts, _ extent: WeightExtent) throws(InputError) -> Axis {
        let shape = parts.shape(.factors)
        // For a convolution, the factors are [1, n, 1, 1] either way.
        let isSquare = extent.inputs == extent.outputs
        guard shape.count >= 2, shape.count == 2 || !isSquare else {
            throw parts.misfit(.factors, extent.shape)
        }
        if shape.count == 2 { return shape[0] == 1 && shape[1] > 1 ? .inputs : .outputs }
        return parts.count(.factors) == extent.inputs ? .inputs : .outputs
    }

    func add(_ factor: Float, to weight: inout Tensor) throws(InputError) {
        let own = try parts.tensor(role)
        let (count, run, one): (Int, Int, Float) = (count, run, role == .factors ? 1 : 0)
        weight.withMutableFloats { weight in
            own.withFloats { own in
                for i in weight.indices {
                    weight[i] *= 1 + factor * (own[i / run % count] - one)
                }
            }
        }
    }

    func bound() throws(InputError) -> Double { try parts.bound(role) + 1 }
}
