import Foundation

/// The YAML of the original code that people keep beside a single file under the same stem. Of all that it
/// says only one thing does not follow from the weights: what the network predicts.
enum SiblingConfig {
    /// Most bytes that are read; published ones have 2000.
    private static let limit = 1 << 18

    /// What the file beside a checkpoint says of the prediction.
    ///
    /// - Returns: nil where there is no such file, or it does not say
    /// - Throws: `InputError` when it cannot be read, or names a prediction that is not supported
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
                fix: "Supported are eps and v"
            )
        }
    }

    /// The value of `parameterization`, wherever it stands: only one class of the original code has it.
    private static func value(in text: String) -> String? {
        for line in text.split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2,
                parts[0].trimmingCharacters(in: .whitespaces) == "parameterization"
            else { continue }
            let value = parts[1].prefix { $0 != "#" }
            return value.trimmingCharacters(in: CharacterSet(charactersIn: " \t\"'"))
        }
        return nil
    }
}
