/// Where each weight of one component is stored, by its Diffusers name: in one file, in several, or under
/// another name and in another form in a file of the original layout. Nothing is read until it is
/// requested.
package struct WeightTable: Sendable {
    /// How a stored tensor becomes the weight.
    enum Form: Equatable, Sendable {
        /// Unchanged, in the given shape: a 1 × 1 convolution can be read as a matrix.
        case same
        /// One of three equal parts of a concatenated tensor, by index.
        case third(Int)
        /// Transposed.
        case transposed
    }

    /// Where and how one weight is stored.
    struct Entry: Sendable {
        let file: SafeTensors
        /// Its name in the file.
        let name: String
        let form: Form
        /// Its shape as the network needs it.
        let shape: [Int]
        /// Name of the tensor with its scale factor; nil if it has none.
        var scale: String? { file.scaleName(of: name) }
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

    /// Adds a weight that is stored in a file under its own name, unchanged.
    mutating func add(_ name: String, in file: SafeTensors) {
        guard let info = file.info(name), !SafeTensors.describesStorage(name) else { return }
        entries[name] = Entry(file: file, name: name, form: .same, shape: info.shape)
    }

    /// Adds a weight.
    mutating func add(_ name: String, _ entry: Entry) { entries[name] = entry }

    /// Names of all weights, sorted.
    package var names: [String] { entries.keys.sorted() }

    /// The shape of a weight, or nil if there is none of this name.
    package func shape(_ name: String) -> [Int]? { entries[name]?.shape }

    /// The type in which the file stores a weight.
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

    /// Checks a weight against the file's header; does not read its values.
    ///
    /// - Throws: `InputError` if it is missing, of another shape, or not of a float type
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
        if let scale = entry.scale { _ = try entry.file.scale(scale) }
    }

    /// Rejects a weight that holds NaN or infinities.
    ///
    /// - Throws: `InputError` naming the file and the tensor
    func refuseFlaw(in name: String) throws(InputError) {
        guard let entry = entries[name] else { return }
        try entry.file.refuseFlaw(in: entry.name)
    }

    /// Reads one weight.
    ///
    /// - Throws: `InputError` if it is missing or not of a float type
    package func tensor(_ name: String) throws(InputError) -> Tensor {
        guard let entry = entries[name] else { throw missing(name) }
        let stored = try stored(entry)
        guard
            let scale = try entry.scale.map({ name throws(InputError) in
                try entry.file.scale(name)
            })
        else { return stored }
        return stored * scale
    }

    /// A weight as stored in its file.
    ///
    /// - Returns: nil if its values, their type or their order have to be changed
    func storedWeight(_ name: String) -> StoredWeight? {
        guard let entry = entries[name], entry.scale == nil,
            let type = entry.file.info(entry.name)?.type, let bytes = entry.file.bytes(entry.name),
            let whole = StoredWeight(entry.file, bytes, type)
        else { return nil }
        let count = entry.shape.reduce(1, *)
        switch entry.form {
        case .same: return whole.count == count ? whole : nil
        case .third(let part): return whole.elements(part * count..<(part + 1) * count)
        case .transposed: return nil
        }
    }

    /// A weight before its scale factor is applied.
    private func stored(_ entry: Entry) throws(InputError) -> Tensor {
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
    /// The transposed matrix.
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
