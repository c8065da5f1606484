import Coordinator
import Engine
import Foundation
import Sampling
import TestSupport
import Testing

/// Settings that come with a model.
@Suite struct ModelDefaultsTests {
    private let geometry = ModelGeometry(
        nativeLatentSide: 32,
        vaeFactor: 8,
        latentChannels: 4,
        usesTimeIDs: false
    )

    /// Reads a defaults file from a model's folder.
    private func defaults(_ json: String, named name: String = "model/tessera.json") throws
        -> ModelDefaults?
    {
        try inTemporaryFolder { folder in
            try FileManager.default.createDirectory(
                atPath: "\(folder)/model",
                withIntermediateDirectories: true
            )
            try json.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
            let model = name.hasPrefix("model/") ? "model" : "single.safetensors"
            if model != "model" { try Data().write(to: URL(fileURLWithPath: "\(folder)/\(model)")) }
            return try ModelDefaults(ofModel: "\(folder)/\(model)", geometry: geometry)
        }
    }

    private func settings(
        _ defaults: ModelDefaults?,
        _ choose: (inout SettingChoices) -> Void = { _ in },
        picture: Extent? = nil
    ) -> RenderSettings {
        var options = PictureOptions(prompt: "a lake")
        choose(&options.settings)
        return options.settings(
            for: geometry,
            scheduler: .ddim,
            defaults: defaults,
            picture: picture
        )
    }

    @Test(arguments: ["model/tessera.json", "single.tessera.json"])
    func comeBeforeOurOwnAndAfterFlags(name: String) throws {
        let json = """
            {"steps": 12, "guidance": 3, "scheduler": "euler", "karras": true, "size": "512x256",
             "stride": 24, "negative-prompt": "rain"}
            """
        let found = try #require(try defaults(json, named: name))
        #expect(found.negativePrompt == "rain")
        #expect(
            found.summary.contains("guidance 3, karras true, scheduler euler"),
            "\(found.summary)"
        )
        let own = settings(found)
        #expect(own.steps == 12 && own.guidance == 3 && own.scheduler == .euler && own.karras)
        #expect(own.size == Extent(height: 256, width: 512) && own.stride == .every(24))
        let chosen = settings(found) { choices in
            choices.set(Settings.steps, to: 4)
            choices.set(Settings.karras, to: false)
            choices.set(Settings.stride, to: .every(8))
        }
        #expect(chosen.steps == 4 && chosen.guidance == 3 && !chosen.karras)
        #expect(chosen.stride == .every(8))
        // An unset flag is not a choice.
        let unset = settings(found) { $0.set(Settings.stride, to: nil as WindowStride?) }
        #expect(unset.stride == .every(24))
    }

    @Test func anInitImageDecidesTheSize() throws {
        let found = try defaults("{\"size\": \"512x256\"}")
        let picture = Extent(height: 320, width: 640)
        #expect(settings(found, picture: picture).size == picture)
    }

    /// A suggested method yields to flags that only the other method uses; a chosen method does not.
    @Test func aSuggestedMethodYields() throws {
        let found = try defaults("{\"method\": \"refine\"}")
        #expect(settings(found).method == .refine)
        #expect(settings(found) { $0.set(Settings.skipBelow, to: 0.1) }.method == .demofusion)
        #expect(settings(found) { $0.set(Settings.stride, to: .window) }.method == .demofusion)
        #expect(settings(found) { $0.set(Settings.method, to: .demofusion) }.method == .demofusion)
        let chosen = settings(nil) { choices in
            choices.set(Settings.method, to: .refine)
            choices.set(Settings.skipBelow, to: 0.1)
        }
        #expect(chosen.method == .refine)
        #expect(throws: InputError.self) { try chosen.validate(for: geometry) }
    }

    /// A flag counts as given whatever its value, even if it equals the default.
    @Test(arguments: [
        "strength", "fidelity", "cosine-scales", "sigma", "skip-below", "border", "upscale-mode",
        "refine-from", "refine-steps", "refine-noise", "refine-guidance",
    ])
    func aGivenDefaultCountsAsGiven(name: String) throws {
        let found = try defaults("{\"method\": \"refine\"}")
        let setting = try #require(Settings.all.first { $0.name == name })
        let picture = Extent(height: 320, width: 640)
        let standard = settings(nil, picture: picture)
        let given = try SettingChoices(json: [name: setting.json(of: standard)])
        let only = try #require(setting.onlyMethod(in: standard))
        let suggested = settings(found, { $0.merge(given) }, picture: picture)
        #expect(suggested.method == (only == .refine ? .refine : .demofusion))
        try suggested.validate(for: geometry, given: given)
        // With the other method it is refused by name, instead of silently having no effect.
        let other: Method = only == .refine ? .demofusion : .refine
        let chosen = settings(
            found,
            {
                $0.merge(given)
                $0.set(Settings.method, to: other)
            },
            picture: picture
        )
        #expect(chosen.method == other)
        let error = #expect(throws: InputError.self) {
            try chosen.validate(for: geometry, given: given)
        }
        #expect(error?.place == "--\(name)")
        // A flag that was not given is no reason to refuse.
        try chosen.validate(for: geometry)
    }

    @Test func everySettingOfOneMethodIsAmongThem() {
        let standard = settings(nil)
        let names = Settings.all.filter { $0.onlyMethod(in: standard) != nil }.map(\.name)
        #expect(
            Set(names) == [
                "strength", "fidelity", "cosine-scales", "sigma", "skip-below", "border",
                "upscale-mode", "refine-from", "refine-steps", "refine-noise", "refine-guidance",
            ]
        )
    }

    /// Side-by-side windows belong to DemoFusion, and the remedy is about them.
    @Test func theRemedyIsAboutTheFlag() throws {
        let chosen = settings(nil) { choices in
            choices.set(Settings.method, to: .refine)
            choices.set(Settings.stride, to: .window)
        }
        let error = #expect(throws: InputError.self) { try chosen.validate(for: geometry) }
        #expect(error?.place == "--stride window")
        #expect(error?.remedy.contains("a number") == true)
        #expect(error?.remedy.contains("--refine-from") == false)
    }

    /// Reproducing the authors' code must not depend on a file beside the weights.
    @Test func theReferenceIgnoresThem() throws {
        let found = try defaults("{\"decode-margin\": 1, \"guidance\": 3, \"method\": \"refine\"}")
        let reference = settings(found) { $0.set(Settings.border, to: .zeros) }
        #expect(reference == settings(nil) { $0.set(Settings.border, to: .zeros) })
        #expect(settings(found).decodeMargin == 1)
    }

    @Test func aModelNeedsNone() throws {
        #expect(try defaults("{}", named: "model/other.json") == nil)
    }

    @Test(arguments: [
        ("{\"stebs\": 4}", "stebs"), ("{\"seed\": \"4\"}", "seed"), ("{\"steps\": \"4\"}", "steps"),
        ("{\"steps\": 0}", "steps"), ("{\"guidance\": 101}", "guidance"),
        ("{\"size\": \"100x100\"}", "size"), ("{\"scheduler\": \"best\"}", "scheduler"),
        ("{\"negative-prompt\": 1}", "negative-prompt"), ("[1]", "JSON object"),
        ("{", "tessera.json"),
    ])
    func faultsNameFileAndKey(json: String, part: String) throws {
        let error = #expect(throws: InputError.self) { try defaults(json) }
        let text = try #require(error).description
        #expect(text.contains("tessera.json") && text.contains(part), "\(text)")
    }

    /// The authors' code uses uniform weights, and side-by-side windows do not overlap.
    @Test func windowsAreGaussianUnlessTheyCannotBe() {
        #expect(settings(nil).windowWeight == .gaussian)
        #expect(settings(nil) { $0.set(Settings.border, to: .zeros) }.windowWeight == .uniform)
        #expect(settings(nil) { $0.set(Settings.stride, to: .window) }.windowWeight == .uniform)
        let chosen = settings(nil) { $0.set(Settings.windowWeight, to: .uniform) }
        #expect(chosen.windowWeight == .uniform)
    }
}
