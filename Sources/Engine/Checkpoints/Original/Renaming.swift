/// Renames modules: a rule replaces the prefix of a dotted name and may have rules for the rest.
struct Renaming: Sendable {
    private struct Rule: Sendable {
        let name: String
        let inside: [Renaming]
    }

    private var rules: [String: Rule] = [:]

    init() {}

    /// Rules that keep the rest of the name.
    init(_ pairs: [(String, String)]) {
        for (from, to) in pairs { add(from, to) }
    }

    /// Adds a rule; `inside`, if given, renames the rest of the name and must cover it.
    mutating func add(_ from: String, _ to: String, inside: Renaming? = nil) {
        rules[from] = Rule(name: to, inside: inside.map { [$0] } ?? [])
    }

    /// The new name: the rule with the longest prefix decides. Nil if none matches.
    func callAsFunction(_ name: String) -> String? {
        var head = Substring(name)
        while true {
            if let rule = rules[String(head)] {
                let rest = name.dropFirst(head.count + 1)
                guard let inside = rule.inside.first else {
                    return rest.isEmpty ? rule.name : "\(rule.name).\(rest)"
                }
                return inside(String(rest)).map { "\(rule.name).\($0)" }
            }
            guard let dot = head.lastIndex(of: ".") else { return nil }
            head = head[..<dot]
        }
    }

    /// The inverse rules.
    var inverse: Renaming {
        var inverse = Renaming()
        for (from, rule) in rules {
            inverse.add(rule.name, from, inside: rule.inside.first?.inverse)
        }
        return inverse
    }
}
