import Engine
import Foundation
import Sampling

extension RenderSession {
    /// Notices about choices made on the user's behalf.
    ///
    /// - Throws: `InputError` for a model whose name indicates an unsupported prediction type
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
                    + "(\(model.predictionSource)); override it with --prediction"
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
