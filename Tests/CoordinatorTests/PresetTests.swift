import Coordinator
import Engine
import Foundation
import Sampling
import TestSupport
import Testing

/// `--preset`: what each one sets, what overrides it, and what it costs.
@Suite struct PresetTests {
    /// Options for a model with this `tessera.json`.
    private func options(
        _ preset: Preset?,
        suggesting json: String = "{}",
        named name: String = "model",
        _ choose: (inout SettingChoices) -> Void = { _ in },
        body: (PictureOptions) throws -> Void
    ) throws {
        try inTemporaryFolder { folder in
            let model = "\(folder)/\(name)"
            try FileManager.default.copyItem(
                atPath: "\(Fixtures.folder)/sd15-tiny",
                toPath: model
            )
            try json.write(toFile: "\(model)/tessera.json", atomically: true, encoding: .utf8)
            var options = PictureOptions(prompt: "a lake", model: model)
            options.preset = preset
            options.settings.set(Settings.size, to: Extent(height: 256, width: 256))
            choose(&options.settings)
            try body(options)
        }
    }

    private func settings(
        _ preset: Preset?,
        suggesting json: String = "{}",
        named name: String = "model",
        _ choose: (inout SettingChoices) -> Void = { _ in }
    ) throws -> RenderSettings {
        var found: RenderSettings?
        try options(preset, suggesting: json, named: name, choose) {
            found = try RenderSession($0).plan.settings
        }
        return try #require(found)
    }

    @Test func eachSetsWhatTheDocumentsSay() throws {
        let draft = try settings(.draft)
        #expect((draft.method, draft.steps, draft.refine.steps) == (.refine, 20, 1))
        #expect(draft.stride == nil)
        let standard = try settings(.standard)
        #expect((standard.method, standard.steps, standard.refine.steps) == (.refine, 50, 3))
        let fine = try settings(.fine)
        // Windows are 16 latent pixels wide.
        #expect((fine.method, fine.refine.steps, fine.stride) == (.refine, 4, .every(8)))
        let reference = try settings(.reference)
        #expect((reference.method, reference.ladder) == (.demofusion, .everyScale))
        #expect(try settings(nil).method == .demofusion)
    }

    @Test func theModelsSuggestionsYieldAndFlagsDoNot() throws {
        let json =
            "{\"method\": \"refine\", \"ladder\": \"auto\", \"stride\": 3, \"steps\": 30, \"guidance\": 4}"
        let reference = try settings(.reference, suggesting: json)
        #expect((reference.method, reference.ladder) == (.demofusion, .everyScale))
        #expect((reference.stride, reference.steps, reference.guidance) == (nil, 30, 4))
        #expect(try settings(.draft, suggesting: json).steps == 20)
        #expect(try settings(.draft, suggesting: "{\"steps\": 9}").steps == 9)
        let chosen = try settings(.draft) {
            $0.set(Settings.steps, to: 40)
            $0.set(Settings.refineSteps, to: 2)
            $0.set(Settings.stride, to: .every(2))
        }
        #expect((chosen.steps, chosen.refine.steps, chosen.stride) == (40, 2, .every(2)))
    }

    @Test func distilledModelsKeepTheirFewSteps() throws {
        func both(_ preset: Preset) throws -> [Int] {
            let settings = try settings(preset, named: "sd15-lcm-4step")
            return [settings.steps, settings.refine.steps]
        }
        #expect(try both(.draft) == [4, 1])
        #expect(try both(.standard) == [4, 1])
        #expect(try both(.fine) == [4, 2])
    }

    @Test func contradictionsAreRefused() throws {
        func refusal(
            _ preset: Preset,
            _ choose: (inout SettingChoices) -> Void
        ) throws -> String {
            var line = "none"
            try options(preset, choose) { options in
                let error = #expect(throws: InputError.self) { try RenderSession(options) }
                line = error?.description ?? ""
            }
            return line
        }
        let method = try refusal(.draft) { $0.set(Settings.method, to: .demofusion) }
        #expect(method.hasPrefix("--preset draft: "), "\(method)")
        #expect(
            method.contains("--method demofusion") && method.contains("--preset reference"),
            "\(method)"
        )
        let sigma = try refusal(.fine) { $0.set(Settings.sigma, to: 0.8) }
        #expect(sigma.hasPrefix("--preset fine: ") && sigma.contains("--sigma 0.8"), "\(sigma)")
        let steps = try refusal(.reference) { $0.set(Settings.refineSteps, to: 2) }
        #expect(steps.hasPrefix("--preset reference: "), "\(steps)")
        #expect(
            steps.contains("--refine-steps 2") && steps.contains("draft, standard, fine"),
            "\(steps)"
        )
    }

    /// A price is what a plan with that preset says; presets that conflict with a flag have no price.
    @Test func pricesAreThePlans() throws {
        func prices(
            _ choose: (inout SettingChoices) -> Void = { _ in }
        ) throws -> [(preset: String, calls: Int)] {
            var found: [(String, Int)] = []
            try options(nil, choose) { options in
                let text = try JSONEncoder().encode(PresetPrice.all(options, speeds: nil))
                found =
                    try JSON(text, place: "prices").array?.map { price in
                        (
                            price.object?["preset"]?.string ?? "",
                            price.object?["unetCalls"]?.integer ?? 0
                        )
                    } ?? []
            }
            return found
        }
        let all = try prices()
        #expect(all.map(\.preset) == ["draft", "standard", "fine", "reference"])
        for (preset, calls) in all {
            let plan = try plan(Preset(rawValue: preset))
            #expect(calls == plan.evaluations)
        }
        #expect(all.map(\.calls) == all.map(\.calls).sorted() && Set(all.map(\.calls)).count == 4)
        #expect(
            try prices { $0.set(Settings.refineNoise, to: 0.5) }.map(\.preset) == [
                "draft", "standard", "fine",
            ]
        )
    }

    private func plan(_ preset: Preset?) throws -> RenderPlan {
        var found: RenderPlan?
        try options(preset) { found = try RenderSession($0).plan }
        return try #require(found)
    }
}
