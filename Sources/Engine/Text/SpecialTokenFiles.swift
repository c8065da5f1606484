import Foundation

/// Special and added tokens of a tokenizer folder: from tokenizer_config.json,
/// special_tokens_map.json, added_tokens.json, and tokenizer.json's `added_tokens`.
struct SpecialTokenFiles {
    /// A token with a role, and how it is matched unless the lists of added tokens say otherwise.
    private struct Role {
        let text: String
        let flags: AddedToken.Flags
    }

    private var roles: [String: Role] = [:]
    /// Special tokens without a role.
    private var others: [Role] = []
    private var added: [AddedToken] = []
    private let folder: String
    /// Length of an encoded prompt.
    let length: Int

    /// In Transformers' order: if two have the same text, the last one decides how it is matched.
    private static let roleNames = ["bos_token", "eos_token", "unk_token", "pad_token"]
    private static let defaultLength = 77

    /// Reads the files; missing ones are skipped.
    ///
    /// - Parameters:
    ///   - folder: the tokenizer's folder
    ///   - listed: `added_tokens` of tokenizer.json
    /// - Throws: `InputError` if a file is damaged or contradicts another
    init(folder: String, listed: [JSON]) throws(InputError) {
        self.folder = folder
        var length = Self.defaultLength
        var decoder: [AddedToken] = []
        for name in ["tokenizer_config.json", "special_tokens_map.json"] {
            let file = "\(folder)/\(name)"
            guard let members = try Self.members(file) else { continue }
            for role in Self.roleNames {
                if let value = members[role], let token = Self.role(value) { roles[role] = token }
            }
            for key in ["additional_special_tokens", "extra_special_tokens"] {
                others += (members[key]?.array ?? []).compactMap(Self.role)
            }
            for (id, value) in members["added_tokens_decoder"]?.object ?? [:] {
                let place = "\(file), 'added_tokens_decoder'"
                decoder.append(try Self.token(value, id: .number(Double(id) ?? -1), place))
            }
            // A tokenizer without a limit states a huge number.
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
        // The first entry for a token decides how it is matched, as in Transformers.
        for token in decoder.sorted(by: { ($0.id, $0.content) < ($1.id, $1.content) }) {
            try add(token, "\(folder)/tokenizer_config.json")
        }
        for value in listed {
            let place = "\(folder)/tokenizer.json, 'added_tokens'"
            try add(Self.token(value, id: value.object?["id"], place), place)
        }
        let file = "\(folder)/added_tokens.json"
        let special = Set(roles.values.map(\.text) + others.map(\.text))
        for (text, id) in (try Self.members(file) ?? [:]).sorted(by: { $0.key < $1.key }) {
            let flags = AddedToken.Flags(normalized: !special.contains(text))
            let token = try Self.token(.string(text), id: id, flags: flags, file)
            try add(token, file)
        }
    }

    private static func members(_ file: String) throws(InputError) -> [String: JSON]? {
        guard FileManager.default.fileExists(atPath: file) else { return nil }
        guard let members = try JSON(InputFile.bytes(file), place: file).object else {
            throw InputError(file, "is not an object", fix: "Use the original file")
        }
        return members
    }

    private mutating func add(_ token: AddedToken, _ place: String) throws(InputError) {
        guard let known = added.first(where: { $0.content == token.content }) else {
            added.append(token)
            return
        }
        guard known.id == token.id else {
            throw InputError(
                place,
                "says that '\(token.content)' is \(token.id), another file that it is \(known.id)",
                fix: "Use the files of one tokenizer"
            )
        }
    }

    /// A token is a string, or an object whose `content` is the string.
    private static func role(_ value: JSON) -> Role? {
        switch value {
        case .string(let text): return Role(text: text, flags: .init())
        case .object(let members):
            guard case .string(let text)? = members["content"] else { return nil }
            return Role(text: text, flags: flags(members, isSpecial: true))
        default: return nil
        }
    }

    private static func flags(_ members: [String: JSON], isSpecial: Bool) -> AddedToken.Flags {
        AddedToken.Flags(
            lstrip: members["lstrip"]?.bool ?? false,
            rstrip: members["rstrip"]?.bool ?? false,
            singleWord: members["single_word"]?.bool ?? false,
            normalized: members["normalized"]?.bool ?? !isSpecial
        )
    }

    private static func token(
        _ value: JSON,
        id: JSON?,
        flags: AddedToken.Flags? = nil,
        _ place: String
    ) throws(InputError) -> AddedToken {
        let members = value.object ?? ["content": value]
        guard let text = members["content"]?.string, let id = TokenizerFolder.tokenID(id) else {
            throw InputError(
                place,
                "has a token without a text, or with an id that is not a whole number",
                fix: "Use the original file"
            )
        }
        let own = Self.flags(members, isSpecial: members["special"]?.bool ?? false)
        return AddedToken(content: text, id: id, flags: flags ?? own)
    }

    /// The token of one role; nil if the files do not name it.
    func text(of role: String) -> String? { roles[role]?.text }

    /// All tokens that are matched as a whole.
    ///
    /// - Parameters:
    ///   - vocabulary: ids of the byte-pair tokens, by text
    ///   - file: the file that the vocabulary comes from
    /// - Returns: those with an id, sorted by id
    /// - Throws: `InputError` for a token whose id differs between files
    func tokens(vocabulary: [String: Int], file: String) throws(InputError) -> [AddedToken] {
        for token in added {
            if let id = vocabulary[token.content], id != token.id {
                throw InputError(
                    file,
                    "says that '\(token.content)' is \(id), the added tokens that it is \(token.id)",
                    fix: "Use the files of one tokenizer"
                )
            }
        }
        let usual = ["<|startoftext|>", "<|endoftext|>"].map { Role(text: $0, flags: .init()) }
        var tokens = added
        var special: [String: AddedToken] = [:]
        let known = Set(added.map(\.content))
        for role in usual + others + Self.roleNames.compactMap({ roles[$0] })
        where !role.text.isEmpty && !known.contains(role.text) {
            guard let id = vocabulary[role.text] else { continue }
            special[role.text] = AddedToken(content: role.text, id: id, flags: role.flags)
        }
        tokens += special.values
        return tokens.sorted { ($0.id, $0.content) < ($1.id, $1.content) }
    }
}
