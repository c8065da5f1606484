import Engine
import Sampling

extension PictureOptions {
    /// Settings that a picture can be rendered with.
    package struct Agreement<Checked> {
        package let settings: RenderSettings
        /// Result of the check.
        package let checked: Checked
        /// Suggestions that were dropped, for messages.
        package let dropped: [Dropped]
    }

    /// Suggestions that the preset or the init image overrides.
    func replacedSuggestions(hasPicture: Bool) -> Set<String> {
        Set(preset == nil ? [] : Preset.settings.map(\.name))
            .union(hasPicture ? [Settings.size.name] : [])
    }

    /// Suggestions that are not used, and why.
    package struct Dropped {
        let names: [String]
        let reason: String
    }

    /// The settings with all defaults filled in, without those suggestions of the model's own file that conflict with
    /// explicit choices, with the init image or with a distilled adapter.
    ///
    /// - Parameters:
    ///   - model: the model, which limits and defaults depend on
    ///   - own: the model's sampler
    ///   - distillation: how the model or an adapter was distilled, if it was
    ///   - defaults: the model's own file
    ///   - found: size of the init image, if there is one
    ///   - check: accepts or rejects settings, given the explicit choices
    /// - Returns: the first settings that the check accepts, with as few suggestions dropped as possible
    /// - Throws: the check's error; it names the file and its key if the file conflicts with itself
    package func agreement<Checked>(
        for model: ModelGeometry,
        scheduler own: SchedulerKind,
        distillation: Distillation?,
        defaults: ModelDefaults?,
        picture found: Extent?,
        check: (RenderSettings, SettingChoices) throws(InputError) -> Checked
    ) throws(InputError) -> Agreement<Checked> {
        func attempt(
            _ options: PictureOptions,
            without names: Set<String> = [],
            distillation: Distillation?,
            picture: Extent?
        ) -> Result<(RenderSettings, Checked), InputError> {
            let settings = options.settings(
                for: model,
                scheduler: own,
                distillation: distillation,
                defaults: defaults,
                without: names,
                picture: picture
            )
            do throws(InputError) {
                return .success((settings, try check(settings, options.settings)))
            } catch {
                return .failure(error)
            }
        }
        func succeeds(_ options: PictureOptions, without names: Set<String> = []) -> Bool {
            (try? attempt(options, without: names, distillation: distillation, picture: found).get())
                != nil
        }

        // Suggestions for the model without its distilled LoRA, unless a flag sets them.
        let yielding =
            distillation?.isOfAdapter == true
            ? Self.ofDistilledAdapters.filter {
                defaults?.names.contains($0.name) == true && !self.settings.has($0)
            }.map(\.name).sorted() : []
        let yielded =
            yielding.isEmpty
            ? [] : [Dropped(names: yielding, reason: "the LoRA is distilled, and has its own")]

        let conflict: InputError
        switch attempt(self, distillation: distillation, picture: found) {
        case .success(let (settings, checked)):
            return Agreement(settings: settings, checked: checked, dropped: yielded)
        case .failure(let error): conflict = error
        }
        guard let defaults, usesModelDefaults, conflict.place.hasPrefix("--") else {
            throw conflict
        }
        let names = defaults.names.filter { !yielding.contains($0) }

        // The choice that causes the conflict: without it, or with another sampler, the settings are valid.
        let opponent = Settings.all.first { setting in
            guard self.settings.has(setting) else { return false }
            var others = self
            others.settings.remove(setting)
            guard setting.name == Settings.scheduler.name else { return succeeds(others) }
            return succeeds(others)
                || SchedulerKind.allCases.contains { kind in
                    others.settings.set(Settings.scheduler, to: kind)
                    return succeeds(others)
                }
        }
        // Try the file by itself, with the model alone.
        var alone = self
        alone.settings = SettingChoices()
        if opponent == nil,
            case .failure(let fault) = attempt(alone, distillation: nil, picture: nil),
            let culprits = Self.fewest(
                of: names,
                named: fault.place,
                where: {
                    (try? attempt(alone, without: $0, distillation: nil, picture: nil).get()) != nil
                }
            )
        {
            throw InputError(
                "\(defaults.path), \(culprits.joined(separator: ", "))",
                fault.problem,
                fix: fault.remedy
            )
        }

        let fewest = Self.fewest(of: names, named: conflict.place) { succeeds(self, without: $0) }
        let dropped = fewest ?? names
        // Once suggestions are dropped, any error is about the explicit choices.
        let (settings, checked) = try attempt(
            self,
            without: Set(dropped),
            distillation: distillation,
            picture: found
        ).get()
        let verb = dropped.count == 1 ? "it conflicts" : "they conflict"
        let reason = opponent.map { "\(verb) with \($0.name) \($0.json(of: settings).brief)" }
        return Agreement(
            settings: settings,
            checked: checked,
            dropped: yielded + [Dropped(names: dropped, reason: reason ?? conflict.problem)]
        )
    }

    /// The smallest set of suggestions whose removal helps: up to three of them, or else all.
    ///
    /// - Parameters:
    ///   - names: names of the suggestions
    ///   - place: place of the error; if it names a suggestion, that one is tried first
    ///   - helps: whether a render is possible without these suggestions
    /// - Returns: nil if nothing helps
    private static func fewest(
        of names: [String],
        named place: String,
        where helps: (Set<String>) -> Bool
    ) -> [String]? {
        // A model's other suggestions depend on its sampler, method and size, so these are tried last.
        let last = [Settings.size.name, Settings.scheduler.name, Settings.method.name]
        func rank(_ name: String) -> Int {
            let isNamed = place == "--\(name)" || place.hasPrefix("--\(name) ")
            return isNamed ? -1 : last.firstIndex(of: name).map { $0 + 1 } ?? 0
        }
        let sorted = names.sorted { (rank($0), $0) < (rank($1), $1) }
        var choices: [[Int]] = [[]]
        for _ in 0..<min(3, sorted.count) {
            choices = choices.flatMap { choice in
                ((choice.last ?? -1) + 1..<sorted.count).map { choice + [$0] }
            }
            for choice in choices {
                let chosen = choice.map { sorted[$0] }
                if helps(Set(chosen)) { return chosen }
            }
        }
        return helps(Set(sorted)) ? sorted : nil
    }
}
