/// The weights of one component, with what LoRA files add to them; remembers which were read, so
/// that a model with weights that nobody knows is refused.
package final class WeightReader {
    private let table: WeightTable
    private let changes: [String: [LoRAChange]]
    private var seen: Set<String> = []

    /// - Parameters:
    ///   - table: where the weights lie
    ///   - changes: what is added to them, by weight, in the order of adding
    init(_ table: WeightTable, changes: [String: [LoRAChange]] = [:]) {
        self.table = table
        self.changes = changes
    }

    /// Opens the weights in a component's folder of Diffusers layout.
    ///
    /// - Throws: `InputError` when there are none, or a file is damaged
    package convenience init(folder: String, component: String) throws(InputError) {
        self.init(try ComponentFiles(folder: "\(folder)/\(component)").table())
    }

    /// Whether a tensor is there.
    package func has(_ name: String) -> Bool { table.shape(name) != nil }

    /// One tensor as float32, in the file's order of axes.
    ///
    /// - Throws: `InputError` when it is missing or of another shape
    package func tensor(_ name: String, _ shape: [Int]) throws(InputError) -> Tensor {
        if let found = table.shape(name), found != shape {
            throw InputError(
                table.place(of: name),
                "it is \(found), the model needs \(shape)",
                fix: "Check that config.json belongs to this file"
            )
        }
        var tensor = try table.tensor(name)
        seen.insert(name)
        for change in changes[name] ?? [] { try change.add(to: &tensor) }
        return tensor
    }

    /// Refuses weights that were not read.
    ///
    /// - Throws: `InputError` naming the first few
    package func finish() throws(InputError) {
        // Position numbers 0…76 that old files store.
        let unused = table.names.filter { !seen.contains($0) && !$0.hasSuffix("position_ids") }
        guard !unused.isEmpty else { return }
        let few = unused.prefix(3).joined(separator: ", ")
        throw InputError(
            table.place,
            "\(unused.count) weights are unknown to the model: \(few)",
            fix: "Check that config.json belongs to this file"
        )
    }
}
