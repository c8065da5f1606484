import Engine
import Foundation
import Sampling

/// Settings of other programs' pictures that the model, or Tessera, cannot combine: warns, and uses what is closest.
extension PictureRecipe {
    /// The model of the repeat, for whatever depends on it; nil if it cannot be opened, which is reported when it is
    /// used.
    func fittingModel() -> Model? {
        guard let path = try? request.model ?? value("model") ?? ModelLocation.resolve(nil) else {
            return nil
        }
        return try? Model(path: path)
    }

    /// Drops noise levels, and then the sampler, if the model cannot be sampled with them.
    mutating func fit(levelsTo model: Model?) {
        guard let name = value(Settings.scheduler.name), let kind = SchedulerKind(rawValue: name)
        else { return }
        let config = try? model?.schedulerConfig()
        let levels = [Settings.karras.name, Settings.sigmas.name, Settings.timestepSpacing.name]
        let chosen = value(Settings.karras.name) == nil ? value(Settings.sigmas.name) : "karras"
        if let problem = fault(kind, config), levels.contains(where: { value($0) != nil }) {
            for name in levels { remove(name) }
            warn(
                "its noise levels (\(chosen ?? "evenly spaced")) are left out: \(problem); the sampler's own are used"
            )
        }
        guard let problem = fault(kind, config) else { return }
        remove(Settings.scheduler.name)
        warn("its sampler '\(kind.label)' is left out: \(problem); the model's own is used")
    }

    /// Why the chosen sampler and noise levels cannot be used; nil if they can.
    private func fault(_ kind: SchedulerKind, _ config: SchedulerConfig?) -> String? {
        let isKarras = value(Settings.karras.name) != nil
        let choice = ScheduleChoice(
            spacing: value(Settings.timestepSpacing.name).flatMap(TimestepSpacing.init(rawValue:)),
            levels: value(Settings.sigmas.name).flatMap(LevelSpacing.init(rawValue:))
        )
        do throws(InputError) {
            guard let config else {
                try choice.check(kind, karras: isKarras)
                return nil
            }
            let steps = value(Settings.steps.name).flatMap { Int($0) } ?? 1
            _ = try Scheduler(kind, config: config, steps: steps, karras: isKarras, choice: choice)
            return nil
        } catch {
            return error.problem
        }
    }

    /// Drops a clip skip to a layer that the model's text encoders do not have, or that the model does not read.
    mutating func fit(clipSkipTo model: Model?) {
        guard let text = value(Settings.clipSkip.name), let skip = Int(text), let model else {
            return
        }
        do {
            try model.checkClipSkip(skip)
        } catch {
            remove(Settings.clipSkip.name)
            let problem = (error as? InputError)?.problem ?? "\(error)"
            warn("its clip skip (\(text)) is left out: \(problem); the model's own layer is read")
        }
    }
}
