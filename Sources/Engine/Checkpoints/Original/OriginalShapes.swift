/// The tensors of one part of a file in the original layout, by their names within that part.
struct OriginalShapes: Sendable {
    /// The file, for errors.
    let place: String
    /// The prefix of the names in the file.
    let prefix: String
    let shapes: [String: [Int]]

    /// - Parameters:
    ///   - file: the file that holds them
    ///   - prefix: the prefix of their names
    ///   - isIncluded: whether to include a tensor, given its name without the prefix
    init(
        _ file: SafeTensors,
        prefix: String,
        where isIncluded: (String) -> Bool = { _ in true }
    ) {
        place = file.path
        self.prefix = prefix
        var shapes: [String: [Int]] = [:]
        for name in file.names
        where name.hasPrefix(prefix) && !SafeTensors.describesStorage(name) {
            let own = String(name.dropFirst(prefix.count))
            if isIncluded(own) { shapes[own] = file.info(name)?.shape }
        }
        self.shapes = shapes
    }

    var isEmpty: Bool { shapes.isEmpty }

    func has(_ name: String) -> Bool { shapes[name] != nil }

    /// A tensor's size along one axis.
    ///
    /// - Throws: `InputError` if the tensor is missing or has no such axis
    func extent(_ name: String, axis: Int) throws(InputError) -> Int {
        guard let shape = shapes[name], axis < shape.count else {
            throw InputError(
                "\(place): \(prefix)\(name)",
                "this weight is missing or has too few axes",
                fix: "Fetch the whole model"
            )
        }
        return shape[axis]
    }

    /// The number of items in a list; `name` gives the name of a tensor that every item has, by index.
    func count(_ name: (Int) -> String) -> Int {
        var count = 0
        while count < Self.longestList, has(name(count)) { count += 1 }
        return count
    }

    private static let longestList = 256

    func unsupported(_ name: String, _ problem: String) -> InputError {
        InputError(
            "\(place): \(prefix)\(name)",
            problem,
            fix: "This architecture is not supported"
        )
    }
}

/// A list of whole numbers in a configuration.
func json(_ numbers: [Int]) -> JSON { .array(numbers.map { .number(Double($0)) }) }

/// A list of strings in a configuration.
func json(_ texts: [String]) -> JSON { .array(texts.map { .string($0) }) }
