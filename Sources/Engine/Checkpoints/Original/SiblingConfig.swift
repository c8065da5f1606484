import Foundation

/// The original code's YAML file, which users keep beside a single-file model under the same stem. Only one of
/// its settings does not follow from the weights: the prediction type.
enum SiblingConfig {
    /// Maximum size in bytes; published files have 2000.
    private static let limit = 1 << 18

    /// The prediction type in the file beside a checkpoint.
    ///
    /// - Returns: nil if the file does not exist or does not state one
    /// - Throws: `InputError` if it cannot be read, or names a prediction that is not supported
    static func prediction(
        beside checkpoint: String
    ) throws(InputError) -> (type: PredictionType, file: String)? {
        let stem = URL(fileURLWithPath: checkpoint).deletingPathExtension().path
        guard
            let file = ["yaml", "yml"].map({ "\(stem).\($0)" })
                .first(where: { FileManager.default.fileExists(atPath: $0) }),
            let value = value(in: try InputFile.text(file, limit: limit))
        else { return nil }
        switch value {
        case "v": return (.vPrediction, file)
        case "eps": return (.epsilon, file)
        default:
            throw InputError(
                "\(file): parameterization",
                "'\(value.prefix(40))' is not supported",
                fix: "Only eps and v are supported"
            )
        }
    }

    /// The value of `parameterization`, wherever it appears: only one class of the original code has it.
    private static func value(in text: String) -> String? {
        // On a line of its own or in braces, with or without quotes; not in a comment.
        let field =
            /(?:^|[\s{,])(?:parameterization|"parameterization"|'parameterization')\s*:\s*(?<value>[^,}#]*)/
        for line in text.split(whereSeparator: \.isNewline) {
            let uncommented = line.prefix { $0 != "#" }
            guard let match = uncommented.firstMatch(of: field) else { continue }
            return match.output.value.trimmingCharacters(
                in: CharacterSet(charactersIn: " \t\"'")
            )
        }
        return nil
    }
}
