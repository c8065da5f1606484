import Foundation

/// What tokenizer_config.json and special_tokens_map.json say about special tokens. A token is a
/// text, or an object whose `content` is the text.
struct SpecialTokenFiles {
    private var roles: [String: String] = [:]
    private var added: [String] = []
    /// Ids of an encoded prompt.
    let length: Int

    private static let roleNames = ["bos_token", "eos_token", "unk_token", "pad_token"]
    private static let usualLength = 77

    /// Reads the two files; a missing one says nothing.
    init(folder: String) throws(InputError) {
        var length = Self.usualLength
        for name in ["tokenizer_config.json", "special_tokens_map.json"] {
            let file = "\(folder)/\(name)"
            guard FileManager.default.fileExists(atPath: file) else { continue }
            guard let members = try JSON(InputFile.bytes(file), place: file).object else {
                throw InputError(file, "is not an object", fix: "Use the original file")
            }
            for role in Self.roleNames {
                if let text = members[role].flatMap(Self.text) { roles[role] = text }
            }
            if case .object(let tokens)? = members["added_tokens_decoder"] {
                added += tokens.values.compactMap(Self.text)
            }
            // A tokenizer without a limit of its own says so with a huge number.
            if case .number(let number)? = members["model_max_length"], number <= 4096 {
                guard number >= 3, number == number.rounded() else {
                    throw InputError(
                        "\(file), 'model_max_length'",
                        "is \(number)",
                        fix: "Use the original file"
                    )
                }
                length = Int(number)
            }
        }
        self.length = length
    }

    private static func text(_ value: JSON) -> String? {
        switch value {
        case .string(let text): return text
        case .object(let members):
            guard case .string(let text)? = members["content"] else { return nil }
            return text
        default: return nil
        }
    }

    /// The text of one role, nil where the files do not name it.
    func text(of role: String) -> String? { roles[role] }

    /// All special tokens of the vocabulary, the longest first.
    func tokens(vocabulary: [String: Int]) -> [SpecialToken] {
        let usual = ["<|startoftext|>", "<|endoftext|>"]
        return Set(Array(roles.values) + added + usual).sorted { ($1.count, $0) < ($0.count, $1) }
            .compactMap { text in
                guard !text.isEmpty, let id = vocabulary[text] else { return nil }
                return SpecialToken(scalars: Array(text.unicodeScalars), id: id)
            }
    }
}
