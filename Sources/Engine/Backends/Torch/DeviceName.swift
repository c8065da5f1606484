/// A device that PyTorch computes on, named as on the command line: `cpu`, `cuda:0`, `mps`.
package struct DeviceName: Hashable, Sendable, RawRepresentable, CustomStringConvertible {
    package let rawValue: String

    /// The processor.
    package static let processor = DeviceName(kind: .cpu, index: nil)

    /// Kinds of devices, with PyTorch's names. PyTorch calls AMD's GPUs `cuda`, too.
    package enum Kind: String, CaseIterable, Sendable {
        case cpu, cuda, mps, xpu
        /// Whether a machine may have several devices of this kind, told apart by a number.
        var isNumbered: Bool { self == .cuda || self == .xpu }
    }

    package let kind: Kind
    /// Number of the GPU; 0 for kinds without numbers.
    package let index: Int

    private init(kind: Kind, index: Int?) {
        self.kind = kind
        self.index = index ?? 0
        rawValue = kind.isNumbered ? "\(kind.rawValue):\(index ?? 0)" : kind.rawValue
    }

    /// GPU number `index` of a kind.
    package static func numbered(_ kind: Kind, _ index: Int) -> DeviceName {
        DeviceName(kind: kind, index: index)
    }

    /// Parses a name; `cuda` means `cuda:0`.
    ///
    /// - Returns: nil if it is not a valid name
    package init?(rawValue: String) {
        let parts = rawValue.split(separator: ":", omittingEmptySubsequences: false)
        guard let first = parts.first, let kind = Kind(rawValue: String(first)) else { return nil }
        switch parts.count {
        case 1: self.init(kind: kind, index: nil)
        case 2:
            guard kind.isNumbered, let index = Int(parts[1]), (0..<256).contains(index),
                parts[1].allSatisfy(\.isASCII), parts[1].first?.isNumber == true
            else { return nil }
            self.init(kind: kind, index: index)
        default: return nil
        }
    }

    package var description: String { rawValue }
}
