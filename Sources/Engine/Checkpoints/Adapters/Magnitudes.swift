/// DoRA: the norms that the rows or columns of a merged weight are scaled to.
struct Magnitudes: Sendable {
    private let parts: AdapterParts
    private let role: AdapterRole
    private let extent: WeightExtent
    /// Whether each norm is that of one output's weights, rather than one input's.
    private let isByOutput: Bool

    /// Nil for a module without DoRA.
    ///
    /// - Parameters:
    ///   - parts: `doraScale` `[outputs, 1…]` or `[1, inputs, 1…]`, or PEFT's `magnitude`, one per output
    ///   - extent: the weight's extent
    /// - Throws: `InputError` if they do not fit
    init?(_ parts: AdapterParts, _ extent: WeightExtent) throws(InputError) {
        let role: AdapterRole = parts.has(.magnitude) ? .magnitude : .doraScale
        guard parts.has(role) else { return nil }
        let (shape, count) = (parts.shape(role), parts.count(role))
        isByOutput = role == .magnitude || shape.count <= 1 || shape[0] != 1 || shape[1] == 1
        guard count == (isByOutput ? extent.outputs : extent.inputs) else {
            throw parts.misfit(role, extent.shape)
        }
        (self.parts, self.role, self.extent) = (parts, role, extent)
    }

    /// Scales the weight so that it has these norms.
    ///
    /// - Throws: `InputError` if they are not of a float type
    func apply(to weight: inout Tensor) throws(InputError) {
        let wanted = try parts.tensor(role).values
        let (kernel, columns) = (extent.kernel, extent.columns)
        let isByOutput = isByOutput
        weight.withMutableFloats { weight in
            var squares = [Double](repeating: 0, count: wanted.count)
            for i in weight.indices {
                let at = isByOutput ? i / columns : i % columns / kernel
                squares[at] += Double(weight[i]) * Double(weight[i])
            }
            // The epsilon is LyCORIS's: a norm may be 0.
            let scales = zip(wanted, squares).map {
                Float(Double($0) / ($1.squareRoot() + Double(Float.ulpOfOne)))
            }
            for i in weight.indices {
                weight[i] *= scales[isByOutput ? i / columns : i % columns / kernel]
            }
        }
    }

    /// An upper bound on the norms.
    func bound() throws(InputError) -> Double { try parts.bound(role) }
}
