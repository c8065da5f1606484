/// Where each weight of one component lies, by its Diffusers name: in one file, in several, or under
/// another name and in another form in a file of the original layout. Nothing is read before it is
/// asked for.
package struct WeightTable: Sendable {
    /// How what lies in a file becomes the weight.
    enum Form: Equatable, Sendable {
        /// As it is, in the shape that is given: a 1 × 1 convolution is a matrix, too.
        case same
        /// One of three parts of equal size that lie one after the other.
        case third(Int)
        /// Rows and columns exchanged.
        case transposed
    }

    /// One weight.
    struct Entry: Sendable {
        let file: SafeTensors
        /// Its name in the file.
        let name: String
        let form: Form
        /// Its shape as the network wants it.
        let shape: [Int]
    }

    /// The file or folder, for errors.
    package let place: String
    /// All weights, by their Diffusers names.
    private(set) var entries: [String: Entry] = [:]

    init(place: String) { self.place = place }

    /// The weights of one file in Diffusers layout.
    init(_ file: SafeTensors) {
        place = file.path
        for name in file.names { add(name, in: file) }
    }

    /// Adds a weight that lies in a file under its own name and as it is.
    mutating func add(_ name: String, in file: SafeTensors) {
        guard let info = file.info(name) else { return }
        entries[name] = Entry(file: file, name: name, form: .same, shape: info.shape)
    }

    /// Adds a weight.
    mutating func add(_ name: String, _ entry: Entry) { entries[name] = entry }

    /// Names of all weights, sorted.
    package var names: [String] { entries.keys.sorted() }

    /// The shape of a weight, or nil where there is none of this name.
    package func shape(_ name: String) -> [Int]? { entries[name]?.shape }

    /// How the file stores a weight.
    package func type(_ name: String) -> SafeTensors.ElementType? {
        entries[name].flatMap { $0.file.info($0.name)?.type }
    }

    /// File and name of a weight, for errors.
    func place(of name: String) -> String {
        guard let entry = entries[name] else { return "\(place): \(name)" }
        return "\(entry.file.path): \(entry.name)"
    }

    private func missing(_ name: String) -> InputError {
        InputError(
            "\(place): \(name)",
            "this weight is missing",
            fix: "Check that config.json belongs to this file"
        )
    }

    /// Checks what the header says of a weight; reads nothing.
    ///
    /// - Throws: `InputError` when it is missing, of another shape, or not of a float type
    func check(_ name: String, _ shape: [Int]) throws(InputError) {
        guard let entry = entries[name] else { throw missing(name) }
        guard entry.shape == shape else {
            throw InputError(
                place(of: name),
                "it is \(entry.shape), the model needs \(shape)",
                fix: "Check that config.json belongs to this file"
            )
        }
        guard let type = entry.file.info(entry.name)?.type, SafeTensors.floats.contains(type)
        else { throw entry.file.notFloat(entry.name) }
    }

    /// Refuses a weight that holds NaN or infinities.
    ///
    /// - Throws: `InputError` naming the file and the tensor
    func refuseFlaw(in name: String) throws(InputError) {
        guard let entry = entries[name] else { return }
        try entry.file.refuseFlaw(in: entry.name)
    }

    /// Reads one weight.
    ///
    /// - Throws: `InputError` when it is missing or not of a float type
    package func tensor(_ name: String) throws(InputError) -> Tensor {
        guard let entry = entries[name] else { throw missing(name) }
        switch entry.form {
        case .same:
            return try entry.file.tensor(entry.name).reshaped(entry.shape)
        case .third(let part):
            let count = entry.shape.reduce(1, *)
            return try entry.file.tensor(entry.name, elements: part * count..<(part + 1) * count)
                .reshaped(entry.shape)
        case .transposed:
            return try entry.file.tensor(entry.name).transposed()
        }
    }
}

extension Tensor {
    /// A matrix with rows and columns exchanged.
    func transposed() -> Tensor {
        precondition(shape.count == 2, "\(shape)")
        let (rows, columns) = (shape[0], shape[1])
        return Tensor(shape: [columns, rows]) { out in
            withFloats { x in
                for j in 0..<columns {
                    for i in 0..<rows { out[j * rows + i] = x[i * columns + j] }
                }
            }
        }
    }
}
