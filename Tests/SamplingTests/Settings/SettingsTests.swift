import Engine
import Sampling
import Testing

/// What follows from the declarations of the settings.
@Suite struct SettingsTests {
    private let model = ModelGeometry(
        nativeLatentSide: 32,
        vaeFactor: 8,
        latentChannels: 4,
        usesTimeIDs: false
    )

    /// A value other than the default, for every setting.
    static let others: [String: JSON] = [
        "size": .string("2048x1032"), "steps": .number(7), "guidance": .number(3.25),
        "decode-margin": .number(2), "guidance-interval": .array([.number(0.25), .number(5)]),
        "seed": .string("18446744073709551615"), "rng": .string("philox"),
        "scheduler": .string("euler_a"), "karras": .bool(true),
        "timestep-spacing": .string("trailing"), "final-sigma": .string("sigma_min"),
        "clip-skip": .number(3), "prompt-syntax": .string("a1111"), "sgm-uniform": .bool(true),
        "sigmas": .string("exponential"),
        "strength": .number(0.3), "fidelity": .number(0.75), "image-guidance": .number(2.25),
        "stride": .string("window"), "window-weight": .string("gaussian"),
        "cosine-scales": .array([.number(2), .number(1.5), .number(0)]), "sigma": .number(1.2),
        "ladder": .array([.number(1), .number(2.5)]), "skip-below": .number(0.125),
        "method": .string("refine"), "refine-from": .number(0.5), "refine-steps": .number(4),
        "refine-noise": .number(0.75), "refine-guidance": .number(1.5),
        "border": .string("zeros"), "upscale-mode": .string("image"),
        "wire": .string("f16"), "global-pass": .string("workers"),
    ]

    private func settings(_ choices: SettingChoices = SettingChoices()) -> RenderSettings {
        var settings = RenderSettings(
            size: Settings.size.defaultValue,
            scheduler: Settings.scheduler.defaultValue
        )
        settings.frame = PictureFrame(ofHeight: 8, width: 8, covering: (8, 8), slack: 1)
        choices.apply(to: &settings)
        return settings
    }

    @Test func everySettingHasANameOfItsOwn() {
        let names = Settings.all.map(\.name)
        #expect(Set(names).count == names.count)
        #expect(Set(names) == Set(Self.others.keys))
        let keys = Settings.all.compactMap { $0.text(of: settings())?.key }
        #expect(Set(keys).count == keys.count)
    }

    /// Every value that is written can be read back, and reaches the field that it was written from.
    @Test func everySettingIsReadBack() throws {
        let standard = settings()
        for setting in Settings.all {
            let other = try #require(Self.others[setting.name], "\(setting.name)")
            let changed = settings(try SettingChoices(json: [setting.name: other]))
            #expect(changed != standard, "\(setting.name)")
            #expect(setting.json(of: changed) == other, "\(setting.name)")
            // It has changed nothing else.
            let back = settings(
                try SettingChoices(json: [setting.name: setting.json(of: standard)])
            )
            #expect(back == standard, "\(setting.name)")
        }
        let all = settings(try SettingChoices(json: Self.others))
        let told = all.json
        #expect(told == Self.others.filter { $0.key != "global-pass" })
        #expect(try JSON(JSON.object(told).text.utf8, place: "text").object == told)
    }

    /// Pictures that do not use newer settings keep the same bytes.
    @Test func defaultsAreRecordedAsBefore() {
        #expect(
            Set(settings().json.keys) == [
                "size", "steps", "guidance", "seed", "rng", "scheduler", "karras", "stride",
                "cosine-scales", "sigma", "ladder", "border", "strength", "fidelity",
            ]
        )
    }

    @Test(arguments: [
        ("size", JSON.string("100x64")), ("size", .string("65544x8")), ("steps", .number(0)),
        ("steps", .number(1001)), ("guidance", .number(-1)), ("guidance", .number(.nan)),
        ("strength", .number(1.5)), ("strength", .number(0.01)), ("fidelity", .number(-0.1)),
        ("stride", .number(0)), ("stride", .number(33)), ("skip-below", .number(0.6)),
        ("cosine-scales", .array([.number(1)])),
        ("cosine-scales", .array([.number(1), .number(-1), .number(1)])), ("sigma", .number(0)),
        ("sigma", .number(101)), ("refine-from", .number(1)), ("refine-from", .number(.nan)),
        ("refine-steps", .number(0)), ("refine-noise", .number(1.5)),
        ("refine-guidance", .number(-1)), ("image-guidance", .number(0.5)),
    ])
    func aValueOutOfRangeIsRefusedByItsFlag(name: String, value: JSON) throws {
        let changed = settings(try SettingChoices(json: [name: value]))
        #expect {
            try changed.validate(for: model)
        } throws: { error in
            (error as? InputError)?.place == "--\(name)"
        }
        try settings().validate(for: model)
    }

    @Test(arguments: [
        ("no-such", JSON.null), ("steps", .string("x")), ("steps", .number(1.5)),
        ("seed", .number(-1)), ("scheduler", .string("best")), ("karras", .number(1)),
        ("ladder", .array([.number(2), .number(1)])), ("size", .string("64")),
        ("cosine-scales", .array([.string("1")])), ("stride", .bool(true)),
    ])
    func aValueOfAnotherKindIsRefusedByName(name: String, value: JSON) {
        #expect {
            _ = try SettingChoices(json: [name: value])
        } throws: { error in
            (error as? InputError)?.place == name
        }
    }
}
