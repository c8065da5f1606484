/// What an adapter file changes, as text for users and as JSON.
package struct AdapterSummary: Sendable, Equatable {
    /// Modules of one kind in one network.
    package struct Group: Sendable, Equatable {
        package let component: String
        package let kind: String
        package let modules: Int
        /// Their ranks, or numbers of rows of their rotated blocks, sorted.
        package let ranks: [Int]

        var text: String {
            let several = modules != 1 && kind.hasSuffix("difference")
            let sizes = ranks.map(String.init).joined(separator: ", ")
            let isRotation = kind.hasSuffix("OFT")
            return "\(modules) \(kind)\(several ? "s" : "")"
                + (ranks.isEmpty ? "" : isRotation ? " in blocks of \(sizes)" : " of rank \(sizes)")
        }
    }

    package let path: String
    /// The weights that it is used with, as in `--lora`.
    package let weights: String
    package let groups: [Group]

    init(_ adapter: AdapterFile) {
        path = adapter.source.path
        weights = adapter.source.weights
        var groups: [Group] = []
        for component in Component.allCases {
            let own = adapter.modules.filter { $0.component == component }
            for (title, modules) in Dictionary(grouping: own, by: \.title).sorted(by: {
                ($1.value.count, $0.key) < ($0.value.count, $1.key)
            }) {
                groups.append(
                    Group(
                        component: component.rawValue,
                        kind: title,
                        modules: modules.count,
                        ranks: Set(modules.compactMap(\.rank)).sorted()
                    )
                )
            }
        }
        self.groups = groups
    }

    /// The kinds of changes in the file, most common first.
    var kinds: String {
        var seen: [String] = []
        for group in groups.sorted(by: { $0.modules > $1.modules }) where !seen.contains(group.kind)
        {
            seen.append(group.kind)
        }
        return seen.joined(separator: ", ")
    }

    /// The networks, with the changes to each.
    var components: [(name: String, text: String)] {
        var order: [String] = []
        for group in groups where order.last != group.component { order.append(group.component) }
        return order.map { name in
            let own = groups.filter { $0.component == name }
            return (name, own.map(\.text).joined(separator: "; "))
        }
    }

    var json: [String: Any] {
        [
            "file": path, "weight": weights,
            "modules": groups.map {
                [
                    "component": $0.component, "kind": $0.kind, "modules": $0.modules,
                    "ranks": $0.ranks,
                ]
                    as [String: Any]
            },
        ]
    }
}
