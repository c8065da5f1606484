import CLCMS

/// What a file says about its colours.
struct ColourDescription: Equatable {
    /// Code points; nil if there are none, or only unspecified ones.
    var coded: CodedColours?
    /// Bits per sample in the file.
    var depth = 8
    /// ICC profile; nil if there is none.
    var profile: [UInt8]?
    var isSRGB = false
    /// The encoding gamma, about 1/2.2; nil if not given.
    var gamma: Double?
    /// x and y of white, red, green and blue; nil if not given.
    var chromaticities: [Double]?

    /// How far a given gamma may be from 1/2.2 and still mean sRGB's curve, as in libpng: many programs write 0.45455
    /// with sRGB pictures, and few mean a pure power function.
    private static let gammaTolerance = 0.05
    /// Valid encoding gammas.
    private static let gammas = 0.1...10.0
    /// The x and y of white, red, green and blue of sRGB.
    private static let sRGBPrimaries = [0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06]

    /// Whether the curve is sRGB's.
    fileprivate var hasSRGBCurve: Bool {
        gamma.map { abs($0 * 2.2 - 1) <= Self.gammaTolerance } ?? true
    }

    /// Whether white and primaries are sRGB's to three digits, because some programs round to that.
    fileprivate var hasSRGBPrimaries: Bool {
        chromaticities.map { zip($0, Self.sRGBPrimaries).allSatisfy { abs($0 - $1) < 0.0015 } }
            ?? true
    }

    /// Whether no conversion is needed. Code points take precedence, then a profile, then the sRGB chunk, then gamma
    /// and primaries (PNG, third edition, §4.3); without any of them, the picture is sRGB.
    private var needsNoConversion: Bool {
        profile == nil && (isSRGB || (hasSRGBCurve && hasSRGBPrimaries))
    }

    private var hasNoColourDescription: Bool {
        profile == nil && !isSRGB && gamma == nil && chromaticities == nil
    }

    /// Makes the conversion from these colours to sRGB.
    ///
    /// - Parameters:
    ///   - colour: which samples a pixel has
    ///   - path: path of the file, for errors
    /// - Returns: nil if the colours are already sRGB
    /// - Throws: `InputError` for colours that cannot be converted
    func conversion(
        from colour: PixelLayout.Colour,
        path: String
    ) throws(InputError) -> (any PixelConversion)? {
        let isGrey = colour == .grey
        if colour == .cmyk, profile == nil { return PlainInks() }
        if let coded, !coded.isUnspecified {
            if coded.isSRGB { return nil }
            if coded.isSupported(depth: depth) {
                return CodedConversion(coded, depth: depth, isGrey: isGrey)
            }
            // Unsupported code points give way to the next description in precedence, if there is one.
            guard !hasNoColourDescription else {
                throw InputError(
                    path,
                    "its cICP says \(coded), which are colours that are not supported",
                    fix: "Save it as sRGB, PQ (9, 16, 0, 1), HLG (9, 18, 0, 1) or "
                        + "Display P3 (12, 13, 0, 1)"
                )
            }
        }
        if needsNoConversion { return nil }
        return try ColourConversion(from: self, colour, path: path)
    }

    fileprivate var isSound: Bool { gamma.map(Self.gammas.contains) ?? true }

    fileprivate var places: [Double] { chromaticities ?? Self.sRGBPrimaries }
}

/// Converts rows of float samples to sRGB with Little CMS.
///
/// Used by one thread at a time.
final class ColourConversion: PixelConversion {
    private let transform: cmsHTRANSFORM
    /// Factor for samples of 0…1: Little CMS expects ink in percent.
    private let scale: Float
    /// Whether grey pixels have an RGB profile, as some cameras write them: each becomes three equal samples.
    private let isSpread: Bool

    /// - Parameters:
    ///   - colours: the file's colours
    ///   - colour: which samples a pixel has
    ///   - path: path of the file, for errors
    /// - Throws: `InputError` for an unusable profile or unusable values
    init(
        from colours: ColourDescription,
        _ colour: PixelLayout.Colour,
        path: String
    ) throws(InputError) {
        let isGrey = colour == .grey
        func fault(_ problem: String) -> InputError {
            InputError(path, problem, fix: "Save it as sRGB, or without its colour profile")
        }
        let own: cmsHPROFILE?
        if let profile = colours.profile {
            own = Self.opened(profile)
        } else {
            guard colours.isSound else { throw fault("its gAMA is out of range") }
            own = isGrey ? Self.grey(colours) : Self.matrix(colours)
        }
        guard let own else { throw fault("its colour profile cannot be parsed") }
        defer { cmsCloseProfile(own) }
        let space = cmsGetColorSpace(own)
        isSpread = isGrey && space == cmsSigRgbData
        let kind: cmsUInt32Number
        switch (isSpread ? .rgb : colour, space) {
        case (.grey, cmsSigGrayData): kind = tessera_gray_floats
        case (.rgb, cmsSigRgbData): kind = tessera_rgb_floats
        case (.cmyk, cmsSigCmykData): kind = tessera_cmyk_floats
        default: throw fault("its colour profile does not match its pixel format")
        }
        scale = colour == .cmyk ? 100 : 1
        guard let target = cmsCreate_sRGBProfile() else { throw fault("out of memory") }
        defer { cmsCloseProfile(target) }
        // Without optimization: tables of 33 steps are too coarse for 16 bits.
        let flags = cmsFLAGS_BLACKPOINTCOMPENSATION | cmsFLAGS_NOOPTIMIZE | cmsFLAGS_NOCACHE
        let intent = cmsUInt32Number(INTENT_RELATIVE_COLORIMETRIC)
        guard
            let transform = cmsCreateTransform(
                own,
                kind,
                target,
                tessera_rgb_floats,
                intent,
                cmsUInt32Number(flags)
            )
        else { throw fault("its colour profile cannot be converted to sRGB") }
        self.transform = transform
    }

    deinit { cmsDeleteTransform(transform) }

    func convert(
        _ pixels: UnsafeMutableBufferPointer<Float>,
        to rgb: UnsafeMutableBufferPointer<Float>,
        count: Int
    ) {
        let count32 = cmsUInt32Number(count)
        if isSpread {
            for i in 0..<count { for c in 0..<3 { rgb[3 * i + c] = pixels[i] } }
            // In place, because both are three floats per pixel.
            cmsDoTransform(transform, rgb.baseAddress, rgb.baseAddress, count32)
            return
        }
        if scale != 1 { for i in pixels.indices { pixels[i] *= scale } }
        cmsDoTransform(transform, pixels.baseAddress, rgb.baseAddress, count32)
    }

    /// Reads a profile, using only its matrices, curves and integer lookup tables.
    private static func opened(_ profile: [UInt8]) -> cmsHPROFILE? {
        var profile = profile
        return profile.withUnsafeMutableBufferPointer {
            tessera_hide_float_tables($0.baseAddress, $0.count)
            return cmsOpenProfileFromMem($0.baseAddress, cmsUInt32Number($0.count))
        }
    }

    private static func curve(_ colours: ColourDescription) -> OpaquePointer? {
        guard !colours.hasSRGBCurve, let gamma = colours.gamma else {
            return cmsBuildParametricToneCurve(
                nil,
                4,
                [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045]
            )
        }
        return cmsBuildGamma(nil, 1 / gamma)
    }

    private static func matrix(_ colours: ColourDescription) -> cmsHPROFILE? {
        guard let curve = curve(colours) else { return nil }
        defer { cmsFreeToneCurve(curve) }
        let at = colours.places
        func place(_ i: Int) -> cmsCIExyY { cmsCIExyY(x: at[2 * i], y: at[2 * i + 1], Y: 1) }
        var white = place(0)
        var primaries = cmsCIExyYTRIPLE(Red: place(1), Green: place(2), Blue: place(3))
        return cmsCreateRGBProfile(&white, &primaries, [curve, curve, curve])
    }

    /// Grey stays grey, whatever the primaries are.
    private static func grey(_ colours: ColourDescription) -> cmsHPROFILE? {
        guard let curve = curve(colours) else { return nil }
        defer { cmsFreeToneCurve(curve) }
        return cmsCreateGrayProfile(cmsD50_xyY(), curve)
    }
}

/// CMYK without a profile: each ink, and black, lets through the rest of the light, as in most programs.
struct PlainInks: PixelConversion {
    func convert(
        _ pixels: UnsafeMutableBufferPointer<Float>,
        to rgb: UnsafeMutableBufferPointer<Float>,
        count: Int
    ) {
        for i in 0..<count {
            let light = 1 - pixels[4 * i + 3]
            for c in 0..<3 { rgb[3 * i + c] = (1 - pixels[4 * i + c]) * light }
        }
    }
}
