import Foundation

/// Colour code points of ITU-T H.273, as in a PNG's `cICP` chunk.
struct CodedColours: Equatable, CustomStringConvertible {
    /// Colour primaries and white point.
    let primaries: UInt8
    /// Transfer function.
    let transfer: UInt8
    /// Matrix coefficients; 0 is RGB.
    let matrix: UInt8
    /// Full range (black is 0 and white the maximum), or else the narrow range of video.
    let isFullRange: Bool

    /// Nil if the chunk has another length or an invalid range flag.
    init?(_ chunk: [UInt8]) {
        guard chunk.count == 4, chunk[3] <= 1 else { return nil }
        (primaries, transfer, matrix) = (chunk[0], chunk[1], chunk[2])
        isFullRange = chunk[3] == 1
    }

    var description: String {
        "(\(primaries), \(transfer), \(matrix), \(isFullRange ? 1 : 0))"
    }

    /// Whether the chunk says "unspecified".
    var isUnspecified: Bool { primaries == 2 && transfer == 2 }

    var isSRGB: Bool { primaries == 1 && transfer == 13 && matrix == 0 && isFullRange }

    /// x and y of white, red, green and blue (H.273, table 2); nil if unsupported.
    var places: [Double]? {
        let d65 = [0.3127, 0.3290]
        switch primaries {
        case 1: return d65 + [0.640, 0.330, 0.300, 0.600, 0.150, 0.060]  // BT.709, sRGB
        case 4: return [0.310, 0.316, 0.670, 0.330, 0.210, 0.710, 0.140, 0.080]  // BT.470 M
        case 5: return d65 + [0.640, 0.330, 0.290, 0.600, 0.150, 0.060]  // BT.601, 625 lines
        case 6, 7: return d65 + [0.630, 0.340, 0.310, 0.595, 0.155, 0.070]  // BT.601, 525 lines
        case 9: return d65 + [0.708, 0.292, 0.170, 0.797, 0.131, 0.046]  // BT.2020, BT.2100
        case 11: return [0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060]  // DCI P3
        case 12: return d65 + [0.680, 0.320, 0.265, 0.690, 0.150, 0.060]  // Display P3
        case 22: return d65 + [0.630, 0.340, 0.295, 0.605, 0.155, 0.077]  // EBU 3213
        default: return nil
        }
    }

    /// The transfer function; nil if unsupported.
    fileprivate var curve: ((Double) -> Double)? {
        switch transfer {
        case 1, 6, 11, 14, 15: Self.television
        case 4: { pow($0, 2.2) }
        case 5: { pow($0, 2.8) }
        case 7: { $0 < 4 * 0.0228 ? $0 / 4 : pow(($0 + 0.1115) / 1.1115, 1 / 0.45) }
        case 8: { $0 }
        case 13: { $0 <= 0.04045 ? $0 / 12.92 : pow(($0 + 0.055) / 1.055, 2.4) }
        case 16: { Self.perceptual($0) / Self.referenceWhite }
        case 18: Self.hybrid
        default: nil
        }
    }

    /// Whether these colours can be converted from a file with this many bits per sample; fewer
    /// than eight have no narrow range.
    func isSupported(depth: Int) -> Bool {
        matrix == 0 && places != nil && curve != nil && (isFullRange || depth >= 8)
    }

    /// Maps a stored sample, 0…1 of the maximum, so that 0 is black and 1 is white.
    fileprivate func widened(_ value: Double, depth: Int) -> Double {
        guard !isFullRange else { return value }
        let (highest, step) = (Double((1 << depth) - 1), Double(1 << (depth - 8)))
        return min(max((value * highest - 16 * step) / (219 * step), 0), 1)
    }

    // MARK: Transfer functions of BT.709 and BT.2100

    /// cd/m² of diffuse white in a high-dynamic-range picture (BT.2408); it becomes white in sRGB.
    static let referenceWhite = 203.0
    /// Peak luminance in cd/m² and system gamma of the reference HLG display (BT.2100).
    fileprivate static let (hybridPeak, hybridPower) = (1000.0, 1.2)

    /// The inverse of BT.709's transfer function.
    private static func television(_ v: Double) -> Double {
        let (a, b) = (1.09929682680944, 0.018053968510807)
        return v < 4.5 * b ? v / 4.5 : pow((v + a - 1) / a, 1 / 0.45)
    }

    /// PQ to cd/m².
    private static func perceptual(_ v: Double) -> Double {
        let (m1, m2) = (2610.0 / 16384, 2523.0 / 4096 * 128)
        let (c1, c2, c3) = (3424.0 / 4096, 2413.0 / 4096 * 32, 2392.0 / 4096 * 32)
        let p = pow(v, 1 / m2)
        return 10_000 * pow(max(p - c1, 0) / (c2 - c3 * p), 1 / m1)
    }

    /// HLG to scene light, in 0…1.
    private static func hybrid(_ v: Double) -> Double {
        let (a, b, c) = (0.17883277, 0.28466892, 0.55991073)
        return v <= 0.5 ? v * v / 3 : (exp((v - c) / a) + b) / 12
    }

    fileprivate var isHybrid: Bool { transfer == 18 }
}

/// Converts rows of float samples to sRGB.
///
/// Used by one thread at a time.
protocol PixelConversion {
    /// Converts pixels with samples in 0…1 to three samples each, which may lie slightly outside 0…1.
    func convert(
        _ pixels: UnsafeMutableBufferPointer<Float>,
        to rgb: UnsafeMutableBufferPointer<Float>,
        count: Int
    )
}

/// Converts coded colours to sRGB. Anything brighter than sRGB's white is clipped, channel by channel, and so
/// are colours outside its gamut.
final class CodedConversion: PixelConversion {
    /// Linear light for each stored sample value; 1 is white.
    private let light: [Float]
    /// Converts linear light of these primaries to that of sRGB; row-major.
    private let matrix: [Float]
    /// Contribution of each channel to the luminance.
    private let luminance: [Float]
    private let isHybrid: Bool
    private let isGrey: Bool

    /// - Parameters:
    ///   - colours: supported code points
    ///   - depth: bits per sample in the file
    ///   - isGrey: whether a pixel is one sample, which becomes three equal ones
    init(_ colours: CodedColours, depth: Int, isGrey: Bool) {
        guard let curve = colours.curve, let places = colours.places else {
            preconditionFailure("\(colours) is not supported")
        }
        light = (0...65535).map { Float(curve(colours.widened(Double($0) / 65535, depth: depth))) }
        let own = Self.toXYZ(places)
        let standard = Self.toXYZ([0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06])
        let adapted = Matrix3.product(
            Self.adaptation(from: Self.xyz(places[0], places[1]), to: Self.xyz(0.3127, 0.3290)),
            own
        )
        matrix = Matrix3.product(Matrix3.inverse(standard), adapted).map(Float.init)
        luminance = own[3..<6].map(Float.init)
        isHybrid = colours.isHybrid
        self.isGrey = isGrey
    }

    func convert(
        _ pixels: UnsafeMutableBufferPointer<Float>,
        to rgb: UnsafeMutableBufferPointer<Float>,
        count: Int
    ) {
        light.withUnsafeBufferPointer { light in
            func at(_ value: Float) -> Float { light[Int(min(max(value, 0), 1) * 65535 + 0.5)] }
            for i in 0..<count {
                var colour: SIMD3<Float>
                if isGrey {
                    colour = SIMD3(repeating: at(pixels[i]))
                } else {
                    colour = SIMD3(at(pixels[3 * i]), at(pixels[3 * i + 1]), at(pixels[3 * i + 2]))
                }
                if isHybrid { colour *= Self.displayed(luminance(colour)) }
                for c in 0..<3 {
                    let row = SIMD3(matrix[3 * c], matrix[3 * c + 1], matrix[3 * c + 2])
                    rgb[3 * i + c] = Self.encoded((row * colour).sum())
                }
            }
        }
    }

    private func luminance(_ colour: SIMD3<Float>) -> Float {
        (SIMD3(luminance[0], luminance[1], luminance[2]) * colour).sum()
    }

    /// The gain of the HLG display's OOTF at this luminance.
    private static func displayed(_ luminance: Float) -> Float {
        let peak = Float(CodedColours.hybridPeak / CodedColours.referenceWhite)
        return peak * pow(max(luminance, 0), Float(CodedColours.hybridPower - 1))
    }

    /// sRGB's transfer function.
    private static func encoded(_ light: Float) -> Float {
        let light = min(max(light, 0), 1)
        return light <= 0.0031308 ? 12.92 * light : 1.055 * pow(light, 1 / 2.4) - 0.055
    }

    private static func xyz(_ x: Double, _ y: Double) -> [Double] { [x / y, 1, (1 - x - y) / y] }

    /// The matrix from linear light of the primaries to XYZ.
    private static func toXYZ(_ places: [Double]) -> [Double] {
        let columns = (1...3).map { xyz(places[2 * $0], places[2 * $0 + 1]) }
        let matrix: [Double] = (0..<9).map { columns[$0 % 3][$0 / 3] }
        let white = Matrix3.product(Matrix3.inverse(matrix), column: xyz(places[0], places[1]))
        return Matrix3.product(
            matrix,
            [white[0], 0, 0, 0, white[1], 0, 0, 0, white[2]]
        )
    }

    /// Bradford chromatic adaptation from one white to another.
    private static func adaptation(from: [Double], to: [Double]) -> [Double] {
        let cones = [0.8951, 0.2664, -0.1614, -0.7502, 1.7135, 0.0367, 0.0389, -0.0685, 1.0296]
        let a = Matrix3.product(cones, column: from)
        let b = Matrix3.product(cones, column: to)
        let scale = [b[0] / a[0], 0, 0, 0, b[1] / a[1], 0, 0, 0, b[2] / a[2]]
        return Matrix3.product(Matrix3.inverse(cones), Matrix3.product(scale, cones))
    }
}

/// 3 × 3 matrices, row-major.
private enum Matrix3 {
    static func product(_ a: [Double], _ b: [Double]) -> [Double] {
        var result = [Double](repeating: 0, count: 9)
        for row in 0..<3 {
            for column in 0..<3 {
                for k in 0..<3 { result[3 * row + column] += a[3 * row + k] * b[3 * k + column] }
            }
        }
        return result
    }

    static func product(_ a: [Double], column: [Double]) -> [Double] {
        var result = [0.0, 0.0, 0.0]
        for row in 0..<3 {
            for k in 0..<3 { result[row] += a[3 * row + k] * column[k] }
        }
        return result
    }

    static func inverse(_ m: [Double]) -> [Double] {
        /// The signed cofactor: the sign follows from taking rows and columns in cyclic order.
        func minor(_ row: Int, _ column: Int) -> Double {
            let (r, c) = ((row + 1) % 3, (column + 1) % 3)
            let (s, d) = ((row + 2) % 3, (column + 2) % 3)
            let down: Double = m[3 * r + c] * m[3 * s + d]
            let up: Double = m[3 * r + d] * m[3 * s + c]
            return down - up
        }
        var determinant = 0.0
        for column in 0..<3 { determinant += m[column] * minor(0, column) }
        var result = [Double](repeating: 0, count: 9)
        for row in 0..<3 {
            for column in 0..<3 { result[3 * row + column] = minor(column, row) / determinant }
        }
        return result
    }
}
