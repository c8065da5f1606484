/// The weights of one component, with adapters merged in. Records which weights were read, so
/// that a model with unknown ones is rejected.
package final class WeightReader {
    private let table: WeightTable
    private let changes: [String: [AdapterChange]]
    private var seen: Set<String> = []
    private var finite: Set<String> = []

    /// - Parameters:
    ///   - table: where the weights are stored
    ///   - changes: the adapters' changes by weight, in order
    init(_ table: WeightTable, changes: [String: [AdapterChange]] = [:]) {
        self.table = table
        self.changes = changes
    }

    /// Opens the weights in a component's folder in the Diffusers layout.
    ///
    /// - Throws: `InputError` if there are none, or a file is damaged
    package convenience init(folder: String, component: String) throws(InputError) {
        self.init(try ComponentFiles(folder: "\(folder)/\(component)").table())
    }

    /// Whether a tensor exists.
    package func has(_ name: String) -> Bool { table.shape(name) != nil }

    /// Checks a weight against the file's header, and counts it as read.
    ///
    /// - Throws: `InputError` if it is missing, of another shape, or not of a float type
    func check(_ name: String, _ shape: [Int]) throws(InputError) {
        try table.check(name, shape)
        seen.insert(name)
    }

    /// Names of the weights that were checked or read, sorted.
    var used: [String] { seen.sorted() }

    /// One tensor as float32, in the file's order of axes.
    ///
    /// - Throws: `InputError` if it is missing or of another shape, or if it is not finite
    package func tensor(_ name: String, _ shape: [Int]) throws(InputError) -> Tensor {
        try checkNumbers(name, shape)
        var tensor = try table.tensor(name)
        for change in changes[name] ?? [] { try change.apply(to: &tensor, named: name) }
        return tensor
    }

    /// One tensor as stored in its file.
    ///
    /// - Returns: nil if that is not the weight itself
    /// - Throws: as `tensor`
    func stored(_ name: String, _ shape: [Int]) throws(InputError) -> StoredWeight? {
        try checkNumbers(name, shape)
        return (changes[name] ?? []).isEmpty ? table.storedWeight(name) : nil
    }

    private func checkNumbers(_ name: String, _ shape: [Int]) throws(InputError) {
        try check(name, shape)
        // Some weights are read more than once; their values are checked only once.
        if finite.insert(name).inserted { try table.refuseFlaw(in: name) }
    }

    /// Rejects a checkpoint with weights that were not read.
    ///
    /// - Throws: `InputError` naming the first few
    package func finish() throws(InputError) {
        // Position ids 0…76, stored in old files.
        let unused = table.names.filter { !seen.contains($0) && !$0.hasSuffix("position_ids") }
        guard !unused.isEmpty else { return }
        let few = unused.prefix(3).joined(separator: ", ")
        throw InputError(
            table.place,
            "\(unused.count) weights do not belong to the model: \(few)",
            fix: "Check that config.json belongs to this file"
        )
    }
}
