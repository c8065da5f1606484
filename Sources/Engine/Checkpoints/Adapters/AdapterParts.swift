/// The tensors of one module of an adapter, by role.
struct AdapterParts: Sendable {
    let file: SafeTensors
    let names: [AdapterRole: String]

    func has(_ role: AdapterRole) -> Bool { names[role] != nil }

    /// A tensor's shape; empty if the tensor does not exist.
    func shape(_ role: AdapterRole) -> [Int] {
        names[role].flatMap { file.info($0)?.shape } ?? []
    }

    /// Number of a tensor's elements.
    func count(_ role: AdapterRole) -> Int { shape(role).reduce(1, *) }

    /// Reads a tensor as float32.
    ///
    /// - Throws: `InputError` if it is not of a float type
    func tensor(_ role: AdapterRole) throws(InputError) -> Tensor {
        guard let name = names[role] else { preconditionFailure("\(role) of \(names)") }
        return try file.tensor(name)
    }

    /// An upper bound on the magnitudes in a tensor. Reads only tensors of types that can hold huge numbers.
    ///
    /// - Throws: `InputError` if it is not of a float type
    func bound(_ role: AdapterRole) throws(InputError) -> Double {
        guard let name = names[role] else { return 1 }
        guard file.info(name)?.type != .float16 else { return 65504 }
        return Double(try tensor(role).largestMagnitude ?? .infinity)
    }

    /// The error for a tensor that does not fit the weight.
    func misfit(_ role: AdapterRole, _ target: [Int]) -> InputError {
        InputError(
            "\(file.path): \(names[role] ?? "")",
            "it is \(shape(role)), which does not fit a weight of \(target)",
            fix: "Use an adapter that was made for this kind of model"
        )
    }

    /// A shape without trailing axes of size 1, except for the first axis: a 1 × 1 convolution may be stored as a
    /// matrix, and a matrix as a 1 × 1 convolution.
    static func trimmed(_ shape: [Int]) -> ArraySlice<Int> {
        var shape = shape[...]
        while shape.count > 1, shape.last == 1 { shape.removeLast() }
        return shape
    }

    /// Whether a tensor has this shape, apart from trailing axes of size 1.
    func fits(_ role: AdapterRole, _ wanted: [Int]) -> Bool {
        let own = shape(role)
        return own.first == wanted.first && Self.trimmed(own) == Self.trimmed(wanted)
    }
}

/// The shape of a weight, as a matrix of outputs × (inputs · kernel).
struct WeightExtent: Sendable {
    let shape: [Int]
    let outputs: Int
    let inputs: Int
    /// Elements of the kernel; 1 for a linear layer.
    let kernel: Int
    var columns: Int { inputs * kernel }

    /// Nil for a vector.
    init?(_ shape: [Int]) {
        guard shape.count >= 2, shape.allSatisfy({ $0 > 0 }) else { return nil }
        self.shape = shape
        (outputs, inputs) = (shape[0], shape[1])
        kernel = shape.dropFirst(2).reduce(1, *)
    }
}

/// What an adapter adds to one weight at full strength, computed when the weight is read.
protocol WeightDelta: Sendable {
    /// Adds it to the weight.
    ///
    /// - Parameters:
    ///   - factor: the adapter's strength
    ///   - weight: the weight, in Diffusers' order of axes
    /// - Throws: `InputError` if a tensor is not of a float type
    func add(_ factor: Float, to weight: inout Tensor) throws(InputError)

    /// An upper bound on its magnitude, for a weight whose elements are at most 1.
    ///
    /// - Throws: `InputError` if a tensor is not of a float type
    func bound() throws(InputError) -> Double
}
