import Foundation

/// A textual inversion and the word that stands for it, as given with `--embedding FILE[:word]`.
package struct EmbeddingSource: Equatable, Sendable {
    package let path: String
    /// The word that stands for it; nil for the file's own.
    package let word: String?

    package init(path: String, word: String? = nil) { (self.path, self.word) = (path, word) }

    /// Parses `FILE` or `FILE:word`; a file whose whole name exists takes precedence.
    ///
    /// - Throws: `InputError` if the word is empty
    package init(argument: String) throws(InputError) {
        guard !FileManager.default.fileExists(atPath: argument),
            let colon = argument.lastIndex(of: ":"),
            !argument[colon...].contains("/")
        else {
            self.init(path: argument)
            return
        }
        let word = argument[argument.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        guard !word.isEmpty else {
            throw InputError(
                "--embedding \(argument)",
                "the word is empty",
                fix: "Write FILE or FILE:word"
            )
        }
        self.init(path: String(argument[..<colon]), word: word)
    }
}

/// The vectors that replace a word of the prompt, for each text encoder of a family.
package struct TextualInversion: Sendable {
    package let word: String
    /// The file, for errors.
    package let path: String
    private let file: SafeTensors
    /// Names of its tensors: for the only text encoder, or for the first and the second.
    private let names: [Component: String]
    private let isPair: Bool

    /// Keys that stand for the first or second text encoder of SDXL.
    private static let keys: [String: Component] = [
        "clip_l": .textEncoder, "clip_g": .textEncoder2, "text_encoders_0": .textEncoder,
        "text_encoders_1": .textEncoder2,
    ]

    /// Reads the header of a file.
    ///
    /// - Throws: `InputError` if it is not a textual inversion
    package init(_ source: EmbeddingSource) throws(InputError) {
        let file = try SafeTensors(file: source.path)
        let stem = URL(fileURLWithPath: source.path).deletingPathExtension().lastPathComponent
        // Diffusers uses the word itself as the key.
        let own = file.names.count == 1 && file.names[0].hasPrefix("<") ? file.names[0] : stem
        try self.init(
            word: source.word ?? own,
            file,
            Dictionary(uniqueKeysWithValues: file.names.map { ($0, $0) })
        )
    }

    /// - Parameters:
    ///   - word: the word that stands for it
    ///   - file: the file
    ///   - tensors: names in the file by key
    /// - Throws: `InputError` if they are not a textual inversion
    init(word: String, _ file: SafeTensors, _ tensors: [String: String]) throws(InputError) {
        (self.word, self.file, path) = (word, file, file.path)
        if tensors.count == 1, let one = tensors.first, Self.keys[one.key] == nil {
            (names, isPair) = ([.textEncoder: one.value], false)
        } else {
            var names: [Component: String] = [:]
            for (key, name) in tensors.sorted(by: { $0.key < $1.key }) {
                guard let component = Self.keys[key] else {
                    throw InputError(
                        "\(file.path): \(name)",
                        "this key does not belong to a textual inversion",
                        fix: "Use one with 'emb_params', the word, or 'clip_l' and 'clip_g'"
                    )
                }
                names[component] = name
            }
            (self.names, isPair) = (names, names.count > 1)
        }
        for name in names.values.sorted() {
            let shape = file.info(name)?.shape ?? []
            guard (1...2).contains(shape.count), shape.allSatisfy({ $0 > 0 }) else {
                throw InputError(
                    "\(file.path): \(name)",
                    "it is \(shape), which is not a list of vectors",
                    fix: "Use a textual inversion"
                )
            }
        }
    }

    /// Whether a file is a textual inversion.
    static func matches(_ file: SafeTensors) -> Bool {
        let names = file.names
        guard !names.isEmpty, names.allSatisfy({ (file.info($0)?.shape.count ?? 9) <= 2 }) else {
            return false
        }
        return names.allSatisfy { keys[$0] != nil } || names == ["emb_params"]
            || (names.count == 1 && (names[0].hasPrefix("<") || !names[0].contains(".")))
    }

    /// Textual inversions inside an adapter, as OneTrainer saves them: `bundle_emb.word.clip_l`,
    /// `bundle_emb.word.string_to_param.*`.
    ///
    /// - Throws: `InputError` if one is damaged
    static func bundled(in file: SafeTensors) throws(InputError) -> [TextualInversion] {
        var found: [String: [String: String]] = [:]
        for name in file.names where name.hasPrefix(AdapterFile.bundlePrefix) {
            let rest = name.dropFirst(AdapterFile.bundlePrefix.count)
            let ends =
                [".string_to_param.*", ".string_to_param", ".emb_params"]
                + keys.keys.map { ".\($0)" }
            guard let end = ends.first(where: { rest.hasSuffix($0) }) else {
                throw InputError(
                    "\(file.path): \(name)",
                    "this key is unknown",
                    fix: "Save the textual inversion as a file of its own"
                )
            }
            found[String(rest.dropLast(end.count)), default: [:]][String(end.dropFirst())] = name
        }
        var result: [TextualInversion] = []
        for (word, tensors) in found.sorted(by: { $0.key < $1.key }) {
            result.append(try TextualInversion(word: word, file, tensors))
        }
        return result
    }

    /// Number of vectors and their widths, as shown to users: `2 vectors of 768 and 1280`.
    package var summary: String {
        let shapes = [Component.textEncoder, .textEncoder2].compactMap { component in
            names[component].flatMap { file.info($0)?.shape }
        }
        let counts = Set(shapes.map { $0.count == 1 ? 1 : $0[0] }).sorted()
        let widths = shapes.compactMap(\.last).map(String.init).joined(separator: " and ")
        let count = counts.map(String.init).joined(separator: " and ")
        return "\(count) vector\(counts == [1] ? "" : "s") of \(widths)"
    }

    /// A note that names the family whose text encoder has this width.
    private static func origin(_ width: Int?) -> String {
        switch width {
        case 768?: " (as for \(ModelFamily.sd1.name))"
        case 1024?: " (as for \(ModelFamily.sd2.name))"
        default: ""
        }
    }

    /// Names of its tensors.
    var tensors: [String] { names.values.sorted() }

    /// Maximum magnitude of a vector's elements: the largest half-precision number, as most are saved in half precision.
    /// Trained ones stay below 100; the squares of much larger ones overflow in the text encoder.
    private static let maxValue: Float = 65_504

    /// Rejects vectors that no text encoder can compute with.
    ///
    /// - Parameter name: the tensor's name
    /// - Throws: `InputError` naming the file and the tensor
    func refuseFlaw(in name: String) throws(InputError) {
        try file.refuseFlaw(in: name)
        let values = try file.tensor(name).values
        guard let at = values.firstIndex(where: { abs($0) > Self.maxValue }) else { return }
        throw InputError(
            "\(path): \(name)",
            "it holds \(values[at]) at element \(at), with which a text encoder cannot compute",
            fix: "The file is damaged, or its training failed: fetch it again or use another one"
        )
    }

    /// The vectors for a text encoder.
    ///
    /// - Parameters:
    ///   - component: the text encoder
    ///   - family: the model's family
    ///   - width: width of the text encoder's embeddings
    ///   - room: maximum number of text tokens in a chunk
    /// - Returns: `[vectors, width]`
    /// - Throws: `InputError` if the file was made for another model, or holds NaN
    func vectors(
        for component: Component,
        of family: ModelFamily,
        width: Int,
        room: Int
    ) throws(InputError) -> Tensor {
        func misfit(_ problem: String) -> InputError {
            InputError(path, problem, fix: "Use a textual inversion for \(family.name)")
        }
        guard isPair == (family == .sdxl) else {
            throw misfit(
                isPair
                    ? "it is for two text encoders (Stable Diffusion XL), and the model is \(family.name)"
                    : "it is for one text encoder, and Stable Diffusion XL has two"
            )
        }
        guard let name = names[component] ?? (isPair ? nil : names.values.first) else {
            throw misfit("it has no vectors for the \(component.rawValue)")
        }
        try refuseFlaw(in: name)
        let tensor = try file.tensor(name)
        let shape = tensor.shape
        guard let own = shape.last, own == width else {
            throw InputError(
                "\(path): \(name)",
                "its vectors have \(shape.last ?? 0) numbers\(Self.origin(shape.last)), those of the model's "
                    + "\(component.rawValue) \(width)",
                fix: "Use a textual inversion for \(family.name)"
            )
        }
        let count = shape.count == 1 ? 1 : shape[0]
        guard count <= room else {
            throw misfit("it has \(count) vectors, and a chunk of a prompt has room for \(room)")
        }
        return tensor.reshaped([count, width])
    }
}
