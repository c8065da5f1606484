import Engine
import Foundation
import Sampling

/// Values of the fields in a file name.
package struct NameFields {
    /// Number of the picture, counted from 1.
    package var index: Int
    /// Number of pictures in the series.
    package var count: Int
    /// When the command was started.
    package var start: Date
    package var prompt: String
    /// The model's path.
    package var model: String
    package var settings: RenderSettings

    package init(
        index: Int,
        count: Int,
        start: Date,
        prompt: String,
        model: String,
        settings: RenderSettings
    ) {
        (self.index, self.count, self.start) = (index, count, start)
        (self.prompt, self.model, self.settings) = (prompt, model, settings)
    }

    /// Names of the settings, which are fields, too.
    static var settings: [String] { Settings.all.map(\.name) }

    package var values: [String: String] {
        var values = Dictionary(
            uniqueKeysWithValues: Settings.all.map { setting in
                (setting.name, setting.written(of: settings))
            }
        )
        let digits = "\(count)".count
        let number = "\(index)"
        values["index"] = String(repeating: "0", count: max(0, digits - number.count)) + number
        values["count"] = "\(count)"
        values["prompt"] = prompt
        let file = URL(fileURLWithPath: model)
        let isFile = file.pathExtension == "safetensors"
        values["model"] = (isFile ? file.deletingPathExtension() : file).lastPathComponent
        (values["width"], values["height"]) = (
            "\(settings.size.width)", "\(settings.size.height)"
        )
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.dateFormat = "yyyy-MM-dd"
        values["date"] = format.string(from: start)
        format.dateFormat = "HH-mm-ss"
        values["time"] = format.string(from: start)
        return values
    }
}
