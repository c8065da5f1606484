import Engine
import Foundation
import Sampling

extension RenderSession {
    /// What a person should know of choices that were made for them.
    ///
    /// - Throws: `InputError` for a model whose name says that it predicts what is not supported
    static func notices(
        _ model: Model,
        _ config: SchedulerConfig,
        _ preset: Distillation?,
        _ settings: RenderSettings
    ) throws(InputError) -> [String] {
        var lines: [String] = []
        func name(_ path: String) -> String { URL(fileURLWithPath: path).lastPathComponent }
        if model.predictionIsGuess {
            lines.append(
                "\(name(model.path)) is taken to predict \(config.prediction.rawValue) "
                    + "(\(model.predictionSource)); --prediction says otherwise"
            )
        }
        guard let preset else { return lines }
        if let refusal = preset.refusal { throw refusal }
        let spacing = settings.schedule.spacing.map { ", \($0.rawValue) timesteps" } ?? ""
        lines.append(
            "\(name(preset.path)) is distilled (\(preset.method.rawValue)), by its name: "
                + "\(settings.steps) steps, guidance \(settings.guidance), "
                + "\(settings.scheduler.rawValue)\(spacing); "
                + "flags override these, --no-model-preset ignores the name"
        )
        return lines
    }
}
