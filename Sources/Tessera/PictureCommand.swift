import ArgumentParser
import Coordinator
import Engine
import Foundation

/// A command about pictures that flags describe: `render`, `coordinator` and `plan`.
protocol PictureCommand: ParsableCommand {
    var picture: PictureFlags { get set }
    var outputs: OutputFlags { get set }

    /// The render that its flags describe; nothing is saved.
    ///
    /// - Throws: `InputError` naming the flag with an invalid value
    func rendering() throws -> Rendering
}

/// A command that renders them.
protocol RenderCommand: PictureCommand {
    var display: DisplayFlags { get }
    var job: JobFlags { get }

    /// Where its workers come from.
    ///
    /// - Throws: `InputError` naming the flag with an invalid value
    func opening() throws -> Rendering.Opening
}

extension PictureCommand {
    /// Its name on the command line.
    static var name: String { configuration.commandName ?? _commandName }

    /// What the parser knows of it.
    static var description: CommandDescription { Invocation.commands.find([name]).command }

    /// Reads flags.
    ///
    /// - Parameters:
    ///   - words: of its command line
    ///   - place: where they came from, for errors
    /// - Returns: the command
    /// - Throws: `InputError` with the parser's message
    static func read(_ words: [String], place: String) throws(InputError) -> Self {
        do {
            return try parse(FlagWords(words, of: description).spelled)
        } catch {
            let message = UsageText.sentence(message(for: error))
            throw InputError(place, message, fix: "See tessera \(name) --help")
        }
    }
}
