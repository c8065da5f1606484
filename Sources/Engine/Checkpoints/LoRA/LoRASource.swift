import Foundation

/// A LoRA file and its weight, as given with `--lora FILE[:weight]`.
package struct LoRASource: Equatable, Sendable, CustomStringConvertible {
    package let path: String
    package let weight: Float

    package init(path: String, weight: Float = 1) {
        self.path = path
        self.weight = weight
    }

    /// Parses `FILE` or `FILE:weight`; a file whose whole name exists takes precedence.
    ///
    /// - Throws: `InputError` when the weight is not a number from −100 to 100
    package init(argument: String) throws(InputError) {
        guard !FileManager.default.fileExists(atPath: argument),
            let colon = argument.lastIndex(of: ":")
        else {
            self.init(path: argument)
            return
        }
        let text = argument[argument.index(after: colon)...]
        guard let weight = Float(text), weight.isFinite, abs(weight) <= 100 else {
            throw InputError(
                "--lora \(argument)",
                "'\(text)' is not a weight from -100 to 100",
                fix: "Write FILE or FILE:0.8"
            )
        }
        self.init(path: String(argument[..<colon]), weight: weight)
    }

    /// The argument that `init(argument:)` parses.
    package var argument: String { "\(path):\(weight)" }

    /// The file's name and the weight.
    package var description: String {
        "\(URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent):\(weight)"
    }
}
